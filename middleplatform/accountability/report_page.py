"""The report of a decision as a page: both languages, no script, nothing loaded from elsewhere.

Only its head is made here; ``report`` appends the JSON and the signature, which covers every byte before it.

Spec: docs/spec/decision-report.md, "Page".
"""

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["page", "sheet", "table"]

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;"
    "background:#fff}table{border-collapse:collapse;width:100%;margin:0 0 1.5rem}"
    "th,td{border:1px solid #767676;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "th{background:#f2f2f2;min-width:6rem}td{overflow-wrap:anywhere;min-width:6rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;"
    "border:1px solid #767676;padding:.6rem;font-size:.8rem}"
)
_OUTCOMES = {
    "released": ("answered", "已发布"),
    "refused": ("refused", "已拒绝"),
    "failed": ("failed", "失败"),
}
_Row = tuple[str, str, object]


def sheet(title: str, body: str) -> str:
    """Return the beginning of a page: all up to where its body goes on.

    Args:
        title: Plain text.
        body: HTML.
    """
    said = html.escape(title)
    return (
        '<!doctype html>\n<html lang="zh">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{said}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{said}</h1>\n{body}"
    )


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table of plain texts, each escaped; the first cell of a row heads it."""
    first = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in head)
    lines = "".join(f"<tr>{_cells(tuple(row))}</tr>\n" for row in rows)
    lines = lines or f"<tr>{_cells(('—',))}</tr>\n"
    return f"<table>\n<thead><tr>{first}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>\n"


def _cells(row: tuple[object, ...]) -> str:
    rest = "".join(f"<td>{html.escape(str(each))}</td>" for each in row[1:])
    return f'<th scope="row">{html.escape(str(row[0]))}</th>{rest}'


def page(value: Mapping[str, Any]) -> str:
    """Return the head of the page of a report, up to where its JSON is appended."""
    parts = [
        _section("Decision", "决定", _pairs(_decision(value))),
        _section("Question", "问题", _pairs(_question(value))),
        _section("Approvals", "授权", _pairs(_approvals(value))),
        _section("Protection", "保护措施", _pairs(_protection(value))),
        _section("Responsibility", "责任", _parties(value)),
        _section("Proof", "证明", _pairs(_proof(value))),
    ]
    told = (
        "<p>Everything above is said again below, signed. Check this file with "
        "<code>python verify.py report.html key.pub</code>.<br>"
        "以上内容均载于下方已签名的数据；可用同一命令离线校验本文件。</p>\n"
    )
    return sheet("决定报告 · Decision report", "".join(parts) + told)


def _section(english: str, chinese: str, content: str) -> str:
    return f"<h2>{chinese} · {english}</h2>\n{content}"


def _pairs(rows: Iterable[_Row]) -> str:
    return table(
        ("事项 · item", "内容 · content"), ((f"{zh} · {en}", text) for en, zh, text in rows)
    )


def _decision(value: Mapping[str, Any]) -> Iterator[_Row]:
    body = value["entries"][-1]["entry"]["body"]
    english, chinese = _OUTCOMES[value["outcome"]]
    yield "outcome", "结果", f"{chinese} · {english}"
    yield "when", "时间", body.get("at", "")
    for name, en, zh in (
        ("code", "code", "代码"),
        ("rule", "rule", "规则"),
        ("result_digest", "digest of the result", "结果摘要"),
    ):
        if body.get(name):
            yield en, zh, body[name]
    if value["outcome"] == "released":
        yield "values released", "已发布的值", value["counts"]["released"]
        yield "cells suppressed", "被抑制的单元格", value["counts"]["suppressed"]
    policy = value["policy"]
    number = f"#{policy['number']}" if policy["number"] else ""
    yield "policy", "策略", " ".join(filter(None, (number, policy["version"], policy["digest"])))


def _question(value: Mapping[str, Any]) -> Iterator[_Row]:
    body = value["entries"][0]["entry"]["body"]
    for name, en, zh in (
        ("query_id", "query", "查询编号"),
        ("subject", "person", "人员"),
        ("department", "department", "部门"),
        ("recipient", "recipient", "接收部门"),
        ("purpose", "purpose", "使用目的"),
        ("project", "project", "项目"),
        ("sql", "statement", "语句"),
    ):
        if name in body:
            yield en, zh, _said(body[name])


def _said(value: object) -> str:
    """Return a text as it is; of a sealed part only that it is sealed."""
    if isinstance(value, dict) and "sealed" in value:
        return f"密封，仅审计员可读 · sealed for the auditor ({value.get('to', '')})"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _approvals(value: Mapping[str, Any]) -> Iterator[_Row]:
    for each in value["approvals"]:
        told = [str(each[name]) for name in ("basis", "scenario", "ends") if each.get(name)]
        said = " · ".join([*told, *each.get("approved_by", ())])
        yield "grant", f"授权 {each['grant']}", said or "（未登记）"
    if not value["approvals"]:
        yield "grant", "授权", "无需授权或未作答 · none needed, or not answered"


def _protection(value: Mapping[str, Any]) -> Iterator[_Row]:
    for number, each in enumerate(value["protections"], start=1):
        yield str(number), "措施", f"{each['zh']} · {each['en']}"
    if not value["protections"]:
        yield "nothing was released", "未发布任何内容", ""


def _parties(value: Mapping[str, Any]) -> str:
    head = ("部门 · department", "责任 · answers for", "数据集 · datasets", "回执 · receipts")
    return table(
        head,
        (
            (
                f"{each['name_zh']} · {each['name_en']} ({each['department']})",
                f"{each['answers_zh']} · {each['answers_en']}（{each['article']}）",
                ", ".join(each.get("datasets", ())),
                "\n".join(each.get("receipts", ())),
            )
            for each in value["parties"]
        ),
    )


def _proof(value: Mapping[str, Any]) -> Iterator[_Row]:
    for each in value["entries"]:
        yield "entry", "记录", f"{each['entry']['index']} ({each['entry']['event']})"
    yield "log", "日志", value["origin"]
    yield "checkpoint", "检查点", value["checkpoint"]
    yield "report made", "报告生成时间", value["made_at"]
