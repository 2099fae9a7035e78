"""Asks the same questions on Apache Spark, for lakes that have outgrown one machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from grabient_ops.analytics.manifest import Manifest
from grabient_ops.analytics.refined import REFINED, ROWS, RefinedManifest, read_refined
from grabient_ops.analytics.warehouse import (
    DICTIONARIES,
    FACTS,
    RESPONSES,
    Warehouse,
    require_manifest,
)
from grabient_ops.errors import GrabientError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyspark import SparkConf
    from pyspark.sql import DataFrame, Row, SparkSession

_DIALECT = (
    (re.compile(r"\$(\w+)\[(.+?)\]"), r"element_at(:\1, CAST(\2 AS int))"),  # both count from 1
    (re.compile(r"\blist_position\("), "array_position("),
    (re.compile(r"\$(\w+)"), r":\1"),
    (re.compile(r"\bcount_models\("), "count(DISTINCT "),
)
"""All that differs between the two engines in the text of a question."""
_MACRO = "CREATE TEMP MACRO count_models("
"""Makes a function of DuckDB, in whose place the dialect puts Spark's own."""

_TYPES = {"VARCHAR": "STRING", "UTINYINT": "SMALLINT", "TIMESTAMP": "TIMESTAMP_NTZ"}
"""Spark's names of column types, where they differ."""
_DEFAULTS = {
    "spark.app.name": "grabient-ops",
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",
    "spark.log.level": "OFF",
}
_LOCAL_DEFAULTS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",  # the default of 200 is meant for a cluster
}
_BATCH = {"batch_no": "INTEGER"}
_REFINED = {**ROWS, "vector": "ARRAY<FLOAT>"}
_NEWEST = """SELECT * EXCEPT (place) FROM (
    SELECT *, :embedding AS embedding, row_number() OVER newest_first AS place FROM refinements
    WINDOW newest_first AS (PARTITION BY seed ORDER BY created_at DESC, refinement_id DESC))
WHERE place = 1"""
"""As the view of DuckDB has them; of a palette that was refined more than once, the newest."""
_CALL = re.compile(r"^An error occurred while calling .*\n: ")
"""What py4j says before it comes to the reason."""
_GLOB = re.compile(r"[{}\[\]*?\\]")


class SparkError(GrabientError):
    """Spark is not installed, does not start, or cannot read the lake."""


def open_spark_warehouse(lake: Path, session: "SparkSession | None" = None) -> Warehouse:
    """Open the present generation of a lake on Spark.

    The functions `consensus`, `all_consensus`, `top_tags`, `versions`, `tags_by_version` and
    `version_difference` take it as they take DuckDB's. Closing it stops Spark.

    Args:
        lake: the folder; the workers of a cluster must see it under the same path.
        session: where to run; by default a new one on this machine, or where `SPARK_CONF_DIR` or
            `PYSPARK_SUBMIT_ARGS` say.

    Raises:
        EmptyLakeError: nothing has been published yet.
        SparkError: pyspark or Java is missing, or Spark does not start.
        StoreError: the manifest cannot be read.
    """
    manifest = require_manifest(lake)
    refined = read_refined(lake / REFINED) or RefinedManifest()
    _require_spark()
    with _explained():
        connection = _Connection(session or _start(), lake.absolute(), manifest, refined)
    return Warehouse(cast("DuckDBPyConnection", connection), manifest.generation)


class _Cursor:
    """As much of a DuckDB cursor as the questions use."""

    def __init__(self, session: "SparkSession") -> None:
        self._session = session
        self._rows: Iterator[Row] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held: views are only names."""

    def execute(self, query: str, parameters: Mapping[str, Any] | None = None) -> Self:
        """Translate and plan a query; it runs when its rows are fetched."""
        if not query.startswith(_MACRO):
            for pattern, replacement in _DIALECT:
                query = pattern.sub(replacement, query)
            values = {name: _value(value) for name, value in (parameters or {}).items()}
            with _explained():
                self._rows = _stream(self._session.sql(query, args=values))
        return self

    def fetchall(self) -> "list[Row]":
        """Return all rows that are left."""
        with _explained():
            return list(self._rows)

    def fetchmany(self, size: int) -> "list[Row]":
        """Return the next rows, so many at most."""
        with _explained():
            return list(islice(self._rows, size))


class _Connection(_Cursor):
    """The same of a DuckDB connection; closing it stops Spark."""

    def __init__(
        self, session: "SparkSession", lake: Path, manifest: Manifest, refined: RefinedManifest
    ) -> None:
        super().__init__(session)
        self._lake = lake
        self._manifest = manifest
        self._refined = refined
        self._make_views(session)

    def cursor(self) -> _Cursor:
        """Open another session of the same Spark; what is chosen there is chosen only there."""
        session = self._session.newSession()
        with _explained():
            self._make_views(session)
        return _Cursor(session)

    def close(self) -> None:
        """Stop Spark."""
        self._session.stop()

    def _make_views(self, session: "SparkSession") -> None:
        _make_views(session, self._lake, self._manifest)
        _make_refined(session, self._lake / REFINED, self._refined)


def _value(value: object) -> object:
    """Return a parameter as Spark takes it: lists are expressions there."""
    from pyspark.sql.functions import array, lit

    return array(*map(lit, value)) if isinstance(value, (list, tuple)) else value


def _stream(answer: "DataFrame") -> "Iterator[Row]":
    yield from answer.toLocalIterator()


def _make_views(session: "SparkSession", lake: Path, manifest: Manifest) -> None:
    """Give a session the views that DuckDB has, of the same files, without the same dead rows."""
    for name, columns in DICTIONARIES.items():
        parts = [part.file for part in manifest.dictionaries.get(name, ())]
        _read(session, lake, parts, columns).createOrReplaceTempView(name)
    for table, columns in (("responses", RESPONSES), ("facts", FACTS)):
        whole = [getattr(part, table) for part in manifest.segments if not part.dead]
        rows = _read(session, lake, whole, columns)
        for part in manifest.segments:
            if part.dead:
                every = _read(session, lake, [getattr(part, table)], columns | _BATCH)
                live = every.filter(~every["batch_no"].isin(part.dead))
                rows = rows.unionByName(live.drop("batch_no"))
        rows.createOrReplaceTempView(table)


def _make_refined(session: "SparkSession", folder: Path, manifest: RefinedManifest) -> None:
    rows = _read(session, folder, [], _REFINED)
    for part in manifest.parts:
        every = _read(session, folder, [part.file], _REFINED)
        rows = rows.unionByName(every.filter(~every["batch_id"].isin(part.dead)))
    rows.createOrReplaceTempView("refinements")
    newest = session.sql(_NEWEST, args={"embedding": manifest.embedding})
    newest.createOrReplaceTempView("refined")


def _read(
    session: "SparkSession", lake: Path, files: Sequence[str], columns: Mapping[str, str]
) -> "DataFrame":
    """Read files of a lake; a schema in advance spares Spark a job that looks for one."""
    schema = ", ".join(f"{name} {_TYPES.get(kind, kind)}" for name, kind in columns.items())
    if not files:
        return session.createDataFrame([], schema)
    paths = [_GLOB.sub(r"\\\g<0>", f"file://{lake / file}") for file in files]
    return session.read.schema(schema).parquet(*paths)


def _require_spark() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        raise SparkError("Spark needs Java; install Java 17 or newer, e.g. openjdk-17-jre-headless")
    if find_spec("pyspark") is None:
        raise SparkError("Spark is not installed; run `pip install 'grabient-ops[spark]'`")


def _start() -> "SparkSession":
    """Start Spark; settings of the environment win over ours."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    gateway = _gateway()
    conf = SparkConf(_jvm=gateway.jvm)
    _set_missing(conf, _DEFAULTS)
    if str(conf.get("spark.master")).startswith("local"):
        _set_missing(conf, _LOCAL_DEFAULTS)
    return SparkSession(SparkContext(conf=conf, gateway=gateway))


def _set_missing(conf: "SparkConf", defaults: Mapping[str, str]) -> None:
    for name, value in defaults.items():
        conf.setIfMissing(name, value)


@cache
def _gateway() -> Any:  # noqa: ANN401 - py4j has no types
    """Start the Java machine, which serves this process to its end. Its chatter goes nowhere."""
    launch = import_module("pyspark.java_gateway").launch_gateway
    return launch(popen_kwargs={"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL})


@contextmanager
def _explained() -> Iterator[None]:
    from pyspark.errors import PySparkException

    untyped = import_module("py4j.protocol")
    try:
        yield
    except (PySparkException, untyped.Py4JError) as error:
        reason = _CALL.sub("", str(error)).strip().partition("\n")[0]
        raise SparkError(f"Spark failed: {reason}") from error
