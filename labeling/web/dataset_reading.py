"""Lines to copy that read a dataset version: each fetches nothing but the file that the line before it has left.

The Parquet file has the label as JSON text, so each reader takes one value out of it: `y`.
"""

from dataclasses import dataclass

from labeling.projects.models import TaskType

_VALUE = {
    TaskType.CLASSIFICATION: "label",
    TaskType.MULTILABEL: "labels",
    TaskType.TEXT: "text",
    TaskType.FIELDS: "fields",
    TaskType.SPANS: "spans",
    TaskType.BOXES: "boxes",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """A way to read a version: what it is called, a word for ids, and the lines."""

    name: str
    slug: str
    code: str


def list_readers(*, address: str, slug: str, number: int, task_type: str) -> list[Reader]:
    """How to fetch and read a version; `address` is that of the dataset's versions, absolute."""
    file = f"{slug}-v{number}.parquet"
    value = _VALUE[TaskType(task_type)]
    return [
        Reader(
            "curl",
            "curl",
            f'curl --fail -H "Authorization: Bearer $REVIEWAPP_KEY" \\\n'
            f'  "{address}{number}/records/?format=parquet" -o {file}',
        ),
        Reader(
            "pandas",
            "pandas",
            "import json\nimport pandas as pd\n\n"
            f'records = pd.read_parquet("{file}")\n'
            f'records["y"] = records["label"].map(lambda text: json.loads(text)["{value}"])\n'
            'train = records[records["split"] == "train"]',
        ),
        Reader(
            "polars",
            "polars",
            "import polars as pl\n\n"
            f'records = pl.read_parquet("{file}").with_columns(\n'
            f'    y=pl.col("label").str.json_path_match("$.{value}")\n)\n'
            'train = records.filter(pl.col("split") == "train")',
        ),
        Reader(
            "DuckDB",
            "duckdb",
            "import duckdb\n\n"
            f'train = duckdb.sql("""\n    SELECT record_id, input, label ->> \'$.{value}\' AS y\n'
            f"    FROM '{file}' WHERE split = 'train'\n\"\"\")",
        ),
        Reader(
            "Spark",
            "spark",
            "from pyspark.sql import SparkSession, functions as F\n\n"
            "spark = SparkSession.builder.getOrCreate()\n"
            f'records = spark.read.parquet("{file}")\n'
            f'records = records.withColumn("y", F.get_json_object("label", "$.{value}"))\n'
            "train = records.where(\"split = 'train'\")",
        ),
        Reader(
            "pyarrow",
            "pyarrow",
            "import json\nimport pyarrow.parquet as pq\n\n"
            f'records = pq.read_table("{file}", filters=[("split", "=", "train")]).to_pylist()\n'
            f'y = [json.loads(record["label"])["{value}"] for record in records]',
        ),
    ]
