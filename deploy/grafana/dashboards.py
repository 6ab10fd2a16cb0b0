"""Writes the Grafana dashboards beside it from the tables below: python3 deploy/grafana/dashboards.py [--check].

Every query uses metrics that the daemons expose today; tests/deploy/metrics_test.py runs each against a live scrape and
fails when a file here is older than this script. Labels that service discovery sets (job, instance, namespace, pod, node)
are Prometheus' own; ours are job_id, tenant and node_id.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
JOB = 'job_id="$job_id"'
SERVER = 'namespace=~"$namespace"'
RATE = "[$__rate_interval]"


def panel(title, unit, *queries, kind="timeseries", width=8):
    """A panel; a query is its expression, or (expression, legend)."""
    return {"title": title, "unit": unit, "kind": kind, "width": width,
            "queries": [query if isinstance(query, tuple) else (query, "") for query in queries]}


def stat(title, unit, query, width=4):
    return panel(title, unit, query, kind="stat", width=width)


def share(top, bottom):
    return f"sum({top}) / sum({bottom})"


def quantile(q, metric, by=""):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{SERVER}}}{RATE})))"


JOB_ROWS = {
    "Now": [
        stat("Step", "none", f"finetune_train_step{{{JOB}}}"),
        stat("Of", "none", f"finetune_train_steps_planned{{{JOB}}}"),
        stat("Done", "percentunit", f"finetune_train_step{{{JOB}}} / finetune_train_steps_planned{{{JOB}}}"),
        stat("Time left", "s", f"(finetune_train_steps_planned{{{JOB}}} - finetune_train_step{{{JOB}}})"
                               f" / (deriv(finetune_train_step{{{JOB}}}{RATE}) > 0)"),
        stat("Since the last step", "s", f"time() - finetune_train_last_progress_timestamp_seconds{{{JOB}}}"),
        stat("Loss", "none", f"finetune_train_loss{{{JOB}}}"),
        panel("What it is", "none", (f"finetune_job_info{{{JOB}}}", "{{method}} of {{base_model}}, {{world_size}} rank(s)"),
              kind="stat", width=24),
    ],
    "Learning": [
        panel("Loss", "none", (f"finetune_train_loss{{{JOB}}}", "training"), (f"finetune_eval_loss{{{JOB}}}", "held out")),
        panel("Learning rate", "sci", f"finetune_train_learning_rate{{{JOB}}}"),
        panel("Gradient norm before clipping", "none", f"finetune_train_gradient_norm{{{JOB}}}"),
    ],
    "Evaluation of its files (train.evaluate)": [
        panel("Perplexity of each file", "none", (f"finetune_eval_perplexity{{{JOB}}}", "{{set}}"), width=12),
        panel("Questions answered right", "percentunit", (f"finetune_eval_score_ratio{{{JOB}}}", "average"), width=12),
    ],
    "Speed": [
        panel("Tokens a second", "none", f"rate(finetune_train_tokens_total{{{JOB}}}{RATE})"),
        panel("Steps a second", "none", f"deriv(finetune_train_step{{{JOB}}}{RATE})"),
        panel("Samples a second", "none", f"rate(finetune_train_samples_total{{{JOB}}}{RATE})"),
        panel("Time of a step", "s", *((f"histogram_quantile({q}, sum by (le) "
                                        f"(rate(finetune_train_step_duration_seconds_bucket{{{JOB}}}{RATE})))", legend)
                                       for q, legend in ((0.5, "median"), (0.95, "95 %")))),
        panel("Skipped steps (gradients not finite)", "none", f"increase(finetune_train_skipped_steps_total{{{JOB}}}{RATE})"),
    ],
    "The cards of its node": [
        panel("Use", "percentunit", (f"finetune_device_utilization_ratio and on (instance) finetune_train_step{{{JOB}}}", "{{device}}")),
        panel("Memory", "bytes", (f"finetune_device_memory_used_bytes and on (instance) finetune_train_step{{{JOB}}}", "{{device}}"),
              (f"finetune_device_memory_bytes and on (instance) finetune_train_step{{{JOB}}}", "{{device}} has")),
        panel("Temperature", "celsius", (f"finetune_device_temperature_celsius and on (instance) finetune_train_step{{{JOB}}}",
                                         "{{device}}")),
        panel("Power", "watt", (f"finetune_device_power_watts and on (instance) finetune_train_step{{{JOB}}}", "{{device}}")),
        panel("Memory errors that were not corrected", "none",
              (f"finetune_device_uncorrected_ecc_errors and on (instance) finetune_train_step{{{JOB}}}", "{{device}}")),
    ],
    "The node that trains it": [
        panel("Ranks", "none", (f'finetune_worker_ranks and on (instance) finetune_train_step{{{JOB}}}',
                                "{{node_id}} {{state}}")),
        panel("Not yet shipped", "bytes", (f"finetune_worker_spool_bytes and on (instance) finetune_train_step{{{JOB}}}",
                                           "{{node_id}}")),
        panel("Since the last answered lease renewal", "s",
              (f"finetune_worker_lease_age_seconds and on (instance) finetune_train_step{{{JOB}}}", "{{node_id}}")),
    ],
}

CONTROL_ROWS = {
    "Now": [
        stat("Leaders", "none", f"sum(finetune_leader{{{SERVER}}})"),
        stat("Term", "none", f"max(finetune_leader_term{{{SERVER}}})"),
        stat("Running", "none", f'sum(finetune_jobs{{{SERVER},state="RUNNING"}})'),
        stat("Waiting", "none", f'sum(finetune_jobs{{{SERVER},state=~"PREPARING|QUEUED"}})'),
        stat("Nodes ready", "none", f'sum(finetune_nodes{{{SERVER},state="ready"}})'),
        stat("Nodes suspect", "none", f'sum(finetune_nodes{{{SERVER},state="suspect"}})'),
    ],
    "Jobs": [
        panel("Jobs by state", "none", (f"sum by (state) (finetune_jobs{{{SERVER}}})", "{{state}}")),
        panel("Submitted and ended an hour", "none",
              (f"3600 * sum(rate(finetune_jobs_submitted_total{{{SERVER}}}{RATE}))", "submitted"),
              (f"3600 * sum by (state) (rate(finetune_jobs_finished_total{{{SERVER}}}{RATE}))", "{{state}}")),
        panel("Ended attempts an hour, by failure class", "none",
              (f"3600 * sum by (class) (rate(finetune_attempts_total{{{SERVER}}}{RATE}))", "{{class}}")),
    ],
    "Calls": [
        panel("Calls a second", "reqps",
              (f"sum by (method) (rate(finetune_rpc_server_handled_total{{{SERVER}}}{RATE}))", "{{method}}")),
        panel("Share that failed", "percentunit",
              (share(f'rate(finetune_rpc_server_handled_total{{{SERVER},code!="OK"}}{RATE})',
                     f"rate(finetune_rpc_server_handled_total{{{SERVER}}}{RATE})") + " or vector(0)", "failed")),
        panel("Time to answer", "s", (quantile(0.5, "finetune_rpc_server_handling_seconds"), "half"),
              (quantile(0.99, "finetune_rpc_server_handling_seconds"), "99 of 100")),
    ],
    "Store": [
        panel("Time of a transaction", "s", (quantile(0.5, "finetune_store_commit_duration_seconds"), "half"),
              (quantile(0.99, "finetune_store_commit_duration_seconds"), "99 of 100")),
        panel("Changes a transaction", "none",
              share(f"rate(finetune_store_group_size_sum{{{SERVER}}}{RATE})",
                    f"rate(finetune_store_group_size_count{{{SERVER}}}{RATE})")),
        panel("Requests not yet answered; errors", "none",
              (f"sum(finetune_store_queue_length{{{SERVER}}})", "waiting"),
              (f"sum(increase(finetune_store_errors_total{{{SERVER}}}{RATE})) or vector(0)", "errors")),
    ],
    "Nodes and fencing": [
        panel("Nodes by state", "none", (f"sum by (state) (finetune_nodes{{{SERVER}}})", "{{state}}")),
        panel("Leases", "none", (f"sum(rate(finetune_lease_renewals_total{{{SERVER}}}{RATE}))", "renewed a second"),
              (f"sum(increase(finetune_leases_expired_total{{{SERVER}}}{RATE}))", "ran out")),
        panel("Refused writes of ended attempts", "none",
              f"sum(increase(finetune_stale_epoch_rejections_total{{{SERVER}}}{RATE})) or vector(0)"),
        panel("Checkpoints", "none", (f"sum(increase(finetune_checkpoints_committed_total{{{SERVER}}}{RATE}))", "committed"),
              (f"sum(increase(finetune_checkpoints_rejected_total{{{SERVER}}}{RATE}))", "refused")),
        panel("Watches ended by the server", "none",
              (f"sum by (reason) (increase(finetune_watch_terminations_total{{{SERVER}}}{RATE}))", "{{reason}}")),
        panel("Ended ranks", "none", (f"sum by (class) (increase(finetune_worker_rank_exits_total{{{SERVER}}}{RATE}))",
                                      "{{class}}")),
    ],
}


def variable(name, label, query):
    return {"type": "query", "name": name, "label": label, "query": query, "refresh": 2, "sort": 1,
            "datasource": {"type": "prometheus", "uid": "${datasource}"}}


def layout(rows):
    """Grafana's panels, 24 columns wide, a heading above each row."""
    panels, y = [], 0
    for title, members in rows.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y, x = y + 1, 0
        height = 4 if members[0]["kind"] == "stat" else 8
        for member in members:
            if x + member["width"] > 24:
                x, y = 0, y + height
            targets = [{"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend or "__auto"}
                       for i, (expression, legend) in enumerate(member["queries"])]
            panels.append({"type": member["kind"], "title": member["title"],
                           "gridPos": {"x": x, "y": y, "w": member["width"], "h": height},
                           "datasource": {"type": "prometheus", "uid": "${datasource}"}, "targets": targets,
                           "fieldConfig": {"defaults": {"unit": member["unit"]}, "overrides": []}})
            x += member["width"]
        y += height
    return [{"id": number, **made} for number, made in enumerate(panels, 1)]


def dashboard(uid, title, variables, rows):
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}
    return {"uid": uid, "title": title, "tags": ["finetuned"], "schemaVersion": 38, "version": 1, "editable": True,
            "timezone": "browser", "refresh": "10s", "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": [source, *variables]}, "panels": layout(rows)}


DASHBOARDS = {
    "job.json": dashboard("finetuned-job", "Fine-tuning job",
                          [variable("job_id", "Job", "label_values(finetune_train_step, job_id)")], JOB_ROWS),
    "control_plane.json": dashboard("finetuned-control-plane", "finetuned: control plane",
                                    [variable("namespace", "Namespace", "label_values(finetune_leader, namespace)")],
                                    CONTROL_ROWS),
}


def text(name):
    return json.dumps(DASHBOARDS[name], indent=1) + "\n"


def main():
    old = []
    for name in DASHBOARDS:
        path = os.path.join(HERE, name)
        if "--check" not in sys.argv[1:]:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text(name))
        elif not os.path.exists(path) or open(path, encoding="utf-8").read() != text(name):
            old.append(name)
    if old:
        sys.exit(f"older than deploy/grafana/dashboards.py, run it: {' '.join(old)}")


if __name__ == "__main__":
    main()
