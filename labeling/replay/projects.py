"""What a replay asks of its project: that it exists, follows the wanted policy, and how much waits in its queues."""

from dataclasses import dataclass

from labeling.replay.client import Api, ReplayError
from labeling.replay.mapping import Json


@dataclass(frozen=True, slots=True)
class Load:
    """How much work there is, in the queues that reviewers may take from."""

    waiting: int
    claimed: int

    @property
    def total(self) -> int:
        return self.waiting + self.claimed


def ensure_project(api: Api, slug: str, body: Json, policy: Json | None = None) -> None:
    """Make the project when it is missing; a policy that is given is put in force when it is not yet."""
    found = api.get(f"/projects/{slug}/")
    if found.status == 404:
        made = api.post("/projects/", {"slug": slug, **body, **({"policy": policy} if policy else {})})
        if made.status == 201:
            return
        made.expect(409)
        found = api.get(f"/projects/{slug}/")  # made by somebody else, or by a request whose answer was lost
    project = found.expect(200)
    if project["task_type"] != body["task_type"]:
        raise ReplayError(
            f"The project {slug} is for {project['task_type']}, this file for {body['task_type']}."
        )
    if policy:
        ensure_policy(api, slug, policy)


def ensure_policy(api: Api, slug: str, policy: Json, note: str = "") -> None:
    """Put these keys of a policy in force when they are not yet; the others stay as they are."""
    current: Json = api.get(f"/projects/{slug}/").expect(200)["policy"]
    if any(current.get(key) != value for key, value in policy.items()):
        said = {"note": note} if note else {}
        api.send("PUT", f"/projects/{slug}/policy/", {**current, **policy, **said}).expect(200, 201)


def get_load(api: Api, slug: str) -> Load:
    """Waiting and claimed tasks, without the queues that are for leads only."""
    queues = [queue for queue in list_all(api, f"/projects/{slug}/queues/") if not queue["leads_only"]]
    return Load(sum(queue["waiting"] for queue in queues), sum(queue["claimed"] for queue in queues))


def make_member_key(owner: Api, project: str, name: str, role: str) -> tuple[int, str]:
    """Make somebody a member, with a key to review with: its id and the key."""
    owner.post(f"/projects/{project}/members/", {"username": name, "role": role}).expect(200, 201)
    wanted = {"name": f"replay: {name}", "scopes": ["review"], "project": project, "member": name}
    made = owner.post("/keys/", wanted).expect(201)
    if "id" not in made or "key" not in made:
        raise ReplayError("POST /keys/ did not answer with an id and a key.")
    return made["id"], str(made["key"])


def get_lease_seconds(api: Api, slug: str) -> float:
    """After how long a claim that nobody uses any more comes back."""
    return float(api.get(f"/projects/{slug}/").expect(200)["policy"]["lease_seconds"])


def list_all(api: Api, path: str) -> list[Json]:
    """The rows of all pages of a list."""
    rows: list[Json] = []
    following: str | None = path
    while following:
        page = api.get(following).expect(200)
        rows += page["results"]
        following = page["next"]
    return rows
