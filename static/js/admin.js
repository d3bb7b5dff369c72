// Names for the choosers of Django's admin (select2): they say what is chosen, and not what for.
function nameChoosers() {
  for (const chosen of document.querySelectorAll(".select2-selection__rendered[id]:not([aria-label])")) {
    const field = chosen.id.replace(/^select2-(.*)-container$/, "$1");
    const label = document.querySelector(`label[for="${CSS.escape(field)}"]`);
    if (label) chosen.setAttribute("aria-label", label.textContent.trim().replace(/:$/, ""));
  }
}

new MutationObserver(nameChoosers).observe(document.body, { childList: true, subtree: true }); // they are made late
nameChoosers();
