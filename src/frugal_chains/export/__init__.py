"""Export: attempts as CSV and Parquet, as OpenTelemetry metrics and spans, and for Prometheus.

Each is off until it is asked for. Parquet needs the extra `parquet`, OpenTelemetry `otel`; neither
is imported before.
"""

from frugal_chains.export._columns import COLUMNS, Column
from frugal_chains.export._endpoint import PrometheusEndpoint
from frugal_chains.export._exporter import OtelExporter
from frugal_chains.export._files import write_csv, write_parquet
from frugal_chains.export._otel import Measurement, measurements
from frugal_chains.export._prometheus import PROMETHEUS_QUESTION, Counters, exposition
from frugal_chains.export._spans import span_attributes, span_name

__all__ = [
    "COLUMNS",
    "PROMETHEUS_QUESTION",
    "Column",
    "Counters",
    "Measurement",
    "OtelExporter",
    "PrometheusEndpoint",
    "exposition",
    "measurements",
    "span_attributes",
    "span_name",
    "write_csv",
    "write_parquet",
]
