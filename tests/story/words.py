"""What the people of the story read and tap, in each language."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """Words on screens and in letters. Names are those of the chapters in which they are read."""

    locale: str
    # the customer's pages
    heading: str
    contact: str
    send_code: str
    digits: str
    name: str
    consent: str
    register: str
    registered: str
    own: str
    choose: str
    send_somebody: str
    offered: str
    booked: str
    agreed: str
    tell_where: str
    address: str
    home: str
    save: str
    settled: str
    check: str
    code: str
    check_it: str
    genuine: str
    # letters
    noticed: str
    seen: str
    step: str
    appointment: str
    closing: str
    # the engineer's phone and the console
    sign_in: str
    your_name: str
    password: str
    my_day: str
    show_contact: str
    finish: str
    fault_confirmed: str
    note: str
    send_finding: str
    sent: str
    resolved: str


SAID = {
    "en": Said(
        locale="en-GB", heading="Washer",
        contact="E-mail", send_code="Send me a code", digits="Six digits", name="Your name (optional)",
        consent="Tell me by e-mail", register="Register", registered="Done: the appliance is registered to you.",
        own="Registered to you", choose="Choose what happens next", send_somebody="Please send somebody",
        offered="Times that we can offer", booked="The time is booked.", agreed="Visit agreed",
        tell_where="Tell us where to come", address="Address for visits", home="7 Test Street", save="Save",
        settled="Settled",
        check="Is a call or message", code="Code from the call", check_it="Check it", genuine="Yes, this is from us.",
        noticed="About your washer: we noticed something",
        seen="Your washer reports that it cannot drain its water.",
        step="1. Switch the washer off.",
        appointment="Our visit to your washer is booked", closing="Your washer: all done",
        sign_in="Sign in", your_name="Your name", password="Password",
        my_day="My day", show_contact="Show address and phone",
        finish="Finish the visit", fault_confirmed="Fault confirmed", note="Note",
        send_finding="Send the finding", sent="Sent.", resolved="Resolved",
    ),
    "zh": Said(
        locale="zh-CN", heading="洗衣机",
        contact="电子邮箱", send_code="获取验证码", digits="六位数字", name="您的姓名（可不填）",
        consent="发现故障隐患时", register="登记", registered="登记成功",
        own="已登记在您名下", choose="选择下一步", send_somebody="请安排上门",
        offered="可预约的时间", booked="时间已预约", agreed="已约上门",
        tell_where="填写上门地址", address="上门地址", home="测试路七号", save="保存",
        settled="已处理",
        check="来电或消息真的是我们吗", code="来电或消息中的核实码", check_it="核实", genuine="是的，这是我们发出的",
        noticed="关于您的洗衣机：我们注意到一个情况",
        seen="您的洗衣机报告无法排水。",
        step="1. 关闭洗衣机电源。",
        appointment="您的洗衣机上门服务已预约", closing="您的洗衣机：已处理完毕",
        sign_in="登录", your_name="用户名", password="密码",
        my_day="我的一天", show_contact="显示地址和电话",
        finish="结束上门", fault_confirmed="确认故障", note="备注",
        send_finding="发送结论", sent="已发送。", resolved="已结单",
    ),
}  # fmt: skip

_NOT_A_SENTENCE = re.compile(r"https?://\S+|\S+@\S+|Washer \d+ kg")
_ENGLISH = re.compile(r"[A-Za-z]{2,}[ \n,]+[a-z]{2,}[^\n]*")


def english_in(text: str) -> list[str]:
    """Runs of English words in what a Chinese reader sees; names of models and addresses are not meant."""
    return _ENGLISH.findall(_NOT_A_SENTENCE.sub("", text))
