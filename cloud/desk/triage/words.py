"""Pure: the sentences in which triage gives its reasons, by language."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cloud.registry.rules import ChannelBeyond

Sentence = dict[str, str]

AT_ONCE: Final[Sentence] = {
    "en": "The code alone is enough: waiting would cost more than a needless call.",
    "zh": "仅凭该代码即可确认：等待的代价高于一次多余的来电。",
}
PERSON: Final[Sentence] = {"en": "The dictionary leaves this to a person.", "zh": "字典规定由人工判断。"}
NO_RULE: Final[Sentence] = {
    "en": "No confirmation rule is known for this problem.",
    "zh": "该问题没有已知的确认规则。",
}
NOT_REPORTED: Final[Sentence] = {
    "en": "The appliance has not reported the code yet; it was predicted.",
    "zh": "电器尚未报告该代码；这是预测。",
}
SELF_TEST: Final[dict[str, Sentence]] = {
    "not_asked": {"en": "The device is asked to test itself.", "zh": "正在请设备自检。"},
    "asked": {"en": "The device was asked to test itself and has not answered yet.", "zh": "已请设备自检，尚无回答。"},
    "passed": {"en": "The device passed its self-test.", "zh": "设备自检通过。"},
    "failed": {"en": "The device failed its self-test.", "zh": "设备自检未通过。"},
    "no_answer": {"en": "The device gave no result of a self-test.", "zh": "设备未给出自检结果。"},
}


def span(length: timedelta) -> Sentence:
    """A length of time in whole minutes, hours or days, as a person says it."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 120:
        return {"en": f"{minutes} min", "zh": f"{minutes} 分钟"}
    hours = minutes // 60
    if hours < 48:
        return {"en": f"{hours} h", "zh": f"{hours} 小时"}
    return {"en": f"{hours // 24} days", "zh": f"{hours // 24} 天"}


def silent(length: timedelta) -> Sentence:
    """Nothing was heard."""
    for_ = span(length)
    return {
        "en": f"Nothing was heard of the device for {for_['en']}: whether the fault stands is not known.",
        "zh": f"设备已 {for_['zh']} 没有消息：故障是否仍存在未知。",
    }


def predicted(probability: float, needed: float) -> Sentence:
    """What the detector gives, and what confirms."""
    return {
        "en": f"The detector gives {probability:.0%}; {needed:.0%} confirm without a person.",
        "zh": f"检测器给出 {probability:.0%}；达到 {needed:.0%} 才无需人工确认。",
    }


def stood(length: timedelta, wanted: timedelta) -> Sentence:
    """A fault that cleared."""
    had, need = span(length), span(wanted)
    return {
        "en": f"It stood for {had['en']} before it cleared; {need['en']} confirm.",
        "zh": f"持续 {had['zh']} 后消除；需持续 {need['zh']} 才确认。",
    }


def stands(length: timedelta, wanted: timedelta) -> Sentence:
    """A fault that has not cleared."""
    had, need = span(length), span(wanted)
    return {
        "en": f"It has stood for {had['en']}; {need['en']} confirm.",
        "zh": f"已持续 {had['zh']}；需持续 {need['zh']} 才确认。",
    }


def repeated(times: int, needed: int, hours: float) -> Sentence:
    """How often it was raised."""
    return {
        "en": f"Raised {times} times within {hours:g} h; {needed} confirm.",
        "zh": f"{hours:g} 小时内出现 {times} 次；{needed} 次才确认。",
    }


def stands_unbroken(sentence: Sentence) -> Sentence:
    """It cannot repeat while it stands."""
    return {
        "en": sentence["en"] + " It stands without a break, so it cannot repeat.",
        "zh": sentence["zh"] + "故障一直存在，无法再次出现。",
    }


def no_reading(channel_name: str) -> Sentence:
    """The channel is silent around the fault."""
    return {
        "en": f"There is no reading of {channel_name} around the fault.",
        "zh": f"故障前后没有 {channel_name} 的读数。",
    }


def channel(test: ChannelBeyond, mean: float) -> Sentence:
    """What the channel showed."""
    side = {"above": ("above", "高于"), "below": ("below", "低于")}[test.side]
    return {
        "en": f"{test.channel} was {mean:.4g} around the fault; {side[0]} {test.limit:g} confirms.",
        "zh": f"故障前后 {test.channel} 为 {mean:.4g}；{side[1]} {test.limit:g} 才确认。",
    }


def peers(who: Sentence, affected: int, devices: int | None) -> Sentence:
    """What the same model or lot showed."""
    of = {"en": f" of {devices:,}", "zh": f"（共 {devices:,} 台）"} if devices else {"en": "", "zh": ""}
    return {
        "en": f"{who['en']}: {affected}{of['en']} devices reported the same lately.",
        "zh": f"{who['zh']}：近期有 {affected} 台设备报告相同问题{of['zh']}。",
    }
