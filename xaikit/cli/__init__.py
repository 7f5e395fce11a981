"""The command line: `xaikit explain`, `compare`, `layers`, `filters`, `zoo`, `report`, `audit`, `app`, ..."""

from xaikit.cli import (
    _activations,
    _anomaly,
    _app,
    _audit_events,
    _compare,
    _counterfactuals,
    _explore,
    _fields,
    _insight,
    _latent,
    _letter,
    _maximize,
    _report,
    _selftest,
    _sequence,
    _study,
    _summary,
    _tabular,
    _units,
    _worker,
)
from xaikit.cli._main import cli, main

cli.add_command(_activations.activations_command)
cli.add_command(_activations.health_command)
_anomaly.anomaly_group.add_command(_latent.latent_command)
cli.add_command(_anomaly.anomaly_group)
cli.add_command(_app.app)
cli.add_command(_audit_events.audit)
_audit_events.audit.add_command(_letter.letter_command)
cli.add_command(_compare.compare)
cli.add_command(_explore.explore_command)
cli.add_command(_explore.operations_command)
cli.add_command(_fields.field_command)
cli.add_command(_maximize.maximize_command)
cli.add_command(_report.report)
cli.add_command(_selftest.selftest_command)
cli.add_command(_study.study)
cli.add_command(_summary.summary_command)
cli.add_command(_worker.worker)
cli.add_command(_worker.jobs_group)
for command in (
    _sequence.states_command,
    _sequence.flow_command,
    _sequence.prefixes_command,
    _sequence.attention_command,
):
    cli.add_command(command)
for command in (_insight.filters_command, _units.patches_command, _units.card_command, _units.atlas_command):
    cli.add_command(command)
for command in (
    _tabular.importance_command,
    _tabular.break_down_command,
    _tabular.profile_command,
    _tabular.what_if_command,
    _counterfactuals.counterfactuals_command,
    _tabular.fairness_command,
):
    cli.add_command(command)

__all__ = ["cli", "main"]
