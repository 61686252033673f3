"""Chrome's Trace Event Format as its description has it, with the one freedom that Perfetto's importer gives.

That importer (src/trace_processor/importers/json) takes a text as tid for the row's name; an end must have the name of
what began last in its row.
"""

from __future__ import annotations

from typing import Any

METADATA = {"process_name": "name", "process_labels": "labels", "process_sort_index": "sort_index",
            "thread_name": "name", "thread_sort_index": "sort_index"}  # fmt: skip


def check_trace(document: Any) -> dict[str, list[str]]:
    """Raise AssertionError at the first event that is not as it must be; the names of rows with what stands in them."""
    events = document["traceEvents"] if isinstance(document, dict) else document
    assert isinstance(events, list)
    rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for event in events:
        assert isinstance(event, dict)
        assert type(event["pid"]) is int
        assert 0 <= event["pid"] < 2**31
        tid = event["tid"]
        assert (type(tid) is int and 0 <= tid < 2**31) or (isinstance(tid, str) and tid), f"tid is {tid!r}"
        assert isinstance(event["name"], str)
        assert event["name"]
        assert event["ph"] in ("B", "E", "X", "i", "M", "C"), event
        rows.setdefault((event["pid"], str(event["tid"])), []).append(event)
    return {tid: _check_row(row) for (_, tid), row in rows.items()}


def _check_row(row: list[dict[str, Any]]) -> list[str]:
    open_: list[str] = []
    names, last = [], 0.0
    for event in row:
        if event["ph"] == "M":
            assert METADATA[event["name"]] in event["args"]
            names.append(str(event["args"].get("name")))
            continue
        assert type(event["ts"]) in (int, float)
        assert event["ts"] >= last, "an event of a row lies before the one before it"
        last = event["ts"]
        if event["ph"] == "B":
            open_.append(event["name"])
        elif event["ph"] == "E":
            assert open_, f"{event['name']} ends and has not begun"
            assert open_.pop() == event["name"], "what ends is not what began last"
        elif event["ph"] == "X":
            assert event["dur"] >= 0
        elif event["ph"] == "i":
            assert event.get("s", "t") in ("g", "p", "t")
        names.append(event["name"])
    assert not open_, f"{open_} never end"
    return names
