"""What is under way while a question is answered, in words."""

from collections.abc import Mapping

from middleplatform.web.jobs import Stage

__all__ = ["stage_words"]

_STATES: Mapping[str, tuple[str, str]] = {
    "queued": ("Waiting for a place", "等待处理"),
    "running": ("Judging the question", "正在审查查询"),
}
_STAGES: Mapping[str, tuple[str, str]] = {
    "dispatch": ("Departments are computing", "各部门正在计算"),
    "combine": ("Putting the released cells together", "正在合并已发布的单元格"),
    "join": ("Departments match their rows in private", "各部门正在做隐私连接"),
}


def stage_words(status: str, stage: Stage | None) -> tuple[str, str]:
    """Return (English, Chinese) words for how far a question is."""
    if stage is None:
        return _STATES.get(status, ("At work", "正在处理"))
    name, _, part = stage[0].partition(": ")
    english, chinese = _STAGES.get(name, _STAGES["dispatch"])
    return (f"{english}: {part}", f"{chinese}（{part}）") if part else (english, chinese)
