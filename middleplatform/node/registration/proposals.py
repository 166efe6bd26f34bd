"""Propose a class for a column from its names, its type and the shape of its values: an officer decides.

A proposal carries its reasons and is applied by nobody. Where several rules speak, the stricter wins (就高从严). Law
that forbids sharing is cited by officers, so ``not_shared`` is never proposed. Levels are those of GB/T 43697-2024 as
the catalogue has them; what is sensitive follows 个人信息保护法 art. 28.

Reveals:
    Nothing: from names, types and counts, for the department's own engineer.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.spi import ColumnDescription, TypeKind
from middleplatform.model.catalog import Level, Sharing, Use

__all__ = ["Proposal", "Values", "proposed"]

Pair = tuple[str, str]

_STRICTNESS = (Use.DIMENSION, Use.DATE, Use.MEASURE, Use.SENSITIVE_DIMENSION, Use.KEY, Use.DENIED)
_MOST, _SOME = 0.5, 0.05
_CODES_MAX = 50
_ROWS_PER_CODE = 10


@dataclass(frozen=True, slots=True)
class Values:
    """What a profile counted of a column.

    Attributes:
        present: Values that are there.
        like: Of them, by shape: the kernel's ``like_*`` counts.
        distinct: Different values, -1 where not counted.
    """

    present: int
    like: Mapping[str, int]
    distinct: int = -1


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed class. Its state is always ``proposed``.

    Attributes:
        level: Sensitivity.
        sharing: Sharing type.
        use: Where it may stand.
        unit: Protected unit that it names; empty for none.
        unit_of_measure: E.g. ``"元"``; empty for none.
        sensitivity: What kind of data it is, English and Chinese.
        reasons: English and Chinese, the first the most telling.
    """

    level: Level
    sharing: Sharing
    use: Use
    unit: str
    unit_of_measure: str
    sensitivity: Pair
    reasons: tuple[Pair, ...]

    def plain(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "state": "proposed",
            "level": self.level.name.lower().replace("_", "-"),
            "sharing": str(self.sharing),
            "use": str(self.use),
            "unit": self.unit,
            "unit_of_measure": self.unit_of_measure,
            "sensitivity": list(self.sensitivity),
            "reasons": [list(each) for each in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class _Rule:
    level: Level
    use: Use
    what: Pair
    words: str = ""
    unit: str = ""
    measured: str = ""

    def finding(self, reason: Pair, use: Use | None = None) -> "_Finding":
        return _Finding(self.level, use or self.use, self.what, reason, self.unit, self.measured)


@dataclass(frozen=True, slots=True)
class _Finding:
    level: Level
    use: Use
    what: Pair
    reason: Pair
    unit: str = ""
    measured: str = ""


_G1, _G2, _G3, _G4 = Level.GENERAL_1, Level.GENERAL_2, Level.GENERAL_3, Level.GENERAL_4

_IDENTITY = _Rule(
    _G3, Use.KEY, ("identity number", "公民身份号码"),
    r"身份证|身份号码|证件号|\b(id_?(number|card|no)|identity|sfzh?m?|gmsfhm|zjhm)\b", "person",
)  # fmt: skip
_CREDIT = _Rule(
    _G1, Use.KEY, ("unified social credit code", "统一社会信用代码"),
    r"信用代码|\b(uscc|\w*_uscc|credit_code|tyshxydm)\b", "firm",
)  # fmt: skip
_NAME = _Rule(
    _G3, Use.DENIED, ("name of a person", "姓名"), r"姓名|\b(xm|name|full_?name|person_?name)\b"
)
_PHONE = _Rule(
    _G3, Use.DENIED, ("telephone number", "电话号码"),
    r"手机|电话|联系方式|\b(mobile|phone|tel|telephone|sjh|lxdh)\b",
)  # fmt: skip
_EMAIL = _Rule(_G3, Use.DENIED, ("e-mail address", "电子邮箱"), r"邮箱|邮件|\be?_?mail\b")
_CARD = _Rule(
    _G4, Use.DENIED, ("financial account", "金融账户"),
    r"银行卡|账号|卡号|开户|\b(bank_?(card|account)|account_?(no|number)|card_?(no|number)|yhkh)\b",
)  # fmt: skip
_TEXT = _Rule(
    _G3,
    Use.DENIED,
    ("free text", "自由文本"),
    r"备注|描述|正文|\b(remark|note|comment|description|bz)s?\b",
)

# In the order in which a name is read; several may speak.
_RULES = (
    _IDENTITY, _CREDIT, _NAME, _PHONE, _EMAIL, _CARD, _TEXT,
    _Rule(_G3, Use.KEY, ("household", "户"), r"户号|家庭编号|\b(household|hh)(_?(id|no|number))?\b", "household"),
    _Rule(_G1, Use.DENIED, ("name of an organization", "单位名称"),
          r"(企业|单位|机构|公司|店铺?)名称?|\b(company|enterprise|firm|employer|business)_?name\b"),
    _Rule(_G3, Use.KEY, ("employment", "就业"), r"参保单位|工作单位|用人单位|\bemployer\b", "firm"),
    _Rule(_G3, Use.DENIED, ("address", "地址"), r"地址|住址|门牌|\b(address|addr|street|dz|zz)\b"),
    _Rule(_G4, Use.SENSITIVE_DIMENSION, ("health", "医疗健康"),
          r"病|诊断|症|医疗|慢性|残疾|过敏|用药|手术|住院|门诊"
          r"|(?<![a-z])(diagnos|disease|illness|chronic|symptom|icd|medical|health|disab|outpatient|inpatient|admission)"),
    _Rule(_G4, Use.DENIED, ("biometrics", "生物识别"),
          r"指纹|人脸|虹膜|声纹|基因|\b(fingerprint|face|iris|voice_?print|dna)\b"),
    _Rule(_G4, Use.SENSITIVE_DIMENSION, ("religion", "宗教信仰"), r"宗教|信仰|\b(religion|faith)\b"),
    _Rule(_G3, Use.SENSITIVE_DIMENSION, ("ethnic group", "民族"), r"民族|\b(ethnic\w*|mz)\b"),
    _Rule(_G4, Use.DENIED, ("offence or special person", "违法犯罪、重点人员"),
          r"犯罪|前科|涉案|重点人员|吸毒|\b(crim\w*|offence\w*|offense\w*|convict\w*|key_person\w*)\b"),
    _Rule(_G4, Use.SENSITIVE_DIMENSION, ("minors", "未成年人"), r"未成年|儿童|监护|\b(minor|child|guardian)\w*\b"),
    _Rule(_G4, Use.DENIED, ("whereabouts", "行踪轨迹"),
          r"行踪|轨迹|经度|纬度|定位|\b(track|gps|lng|lon|lat|longitude|latitude)\b"),
    _Rule(_G3, Use.SENSITIVE_DIMENSION, ("marriage", "婚姻"), r"婚姻|\b(marital|marriage|hyzk)\b"),
    _Rule(_G3, Use.MEASURE, ("income", "收入"),
          r"收入|工资|薪|缴费基数|\b(income|salary|wage|contribution_base)s?\b", measured="元"),
    _Rule(_G3, Use.MEASURE, ("amount of money", "金额"),
          r"金额|费用|税额|营收|营业额|欠税|价款|\b(revenue|amount|cost|fee|tax|turnover|arrears|price|je)s?\b",
          measured="元"),
    _Rule(_G2, Use.MEASURE, ("number of things", "数量"),
          r"人数|次数|数量|件数|\b(count|quantity|qty|number_of|employees|times)\b"),
    _Rule(_G2, Use.DIMENSION, ("sex", "性别"), r"性别|\b(sex|gender|xb)\b"),
    _Rule(_G2, Use.DIMENSION, ("age or birth", "年龄、出生"), r"出生|年龄|生日|\b(birth|age|dob|csrq|csny|nl)\b"),
    _Rule(_G2, Use.DIMENSION, ("region", "行政区划"), r"区划|行政区|街道|\b(region|district|county|xzqh)\b"),
    _Rule(_G2, Use.DIMENSION, ("education", "教育"), r"学历|教育|\b(education|degree|xl)\b"),
    _Rule(_G1, Use.DIMENSION, ("industry", "行业"), r"行业|\b(industry|hylb)\b"),
)  # fmt: skip
_READ = tuple((rule, re.compile(rule.words, re.IGNORECASE)) for rule in _RULES)

_BY_SHAPE = {
    "like_identity": (_IDENTITY, ("identity numbers", "公民身份号码")),
    "like_credit": (_CREDIT, ("social credit codes", "统一社会信用代码")),
    "like_mobile": (_PHONE, ("mobile telephone numbers", "手机号码")),
    "like_email": (_EMAIL, ("e-mail addresses", "电子邮箱")),
    "like_card": (_CARD, ("bank card numbers", "银行卡号")),
    "like_name": (_NAME, ("names of persons", "人名")),
    "like_free_text": (_TEXT, ("long texts", "长文本")),
}
_SHADOWED = {
    "like_card": ("like_identity", "like_credit")
}  # a tenth of all numbers pass the Luhn check


def proposed(column: ColumnDescription, names: tuple[str, ...], values: Values | None) -> Proposal:
    """Return the proposed class of a column.

    Args:
        column: As the source describes it.
        names: All names that it has: of the source, and of the catalogue in both languages where it is mapped.
        values: What the profile counted; None before one was made.
    """
    findings = [*_by_names(names, column), *(_by_values(values) if values else ())]
    findings.append(_by_type(column, values))
    telling = [each for each in findings[:-1] if each.reason] or findings
    level = max(each.level for each in telling)
    use = max((each.use for each in telling), key=_STRICTNESS.index)
    chosen = next((each for each in telling if each.use is use), telling[0])
    strictest = max(telling, key=lambda each: (each.level, _STRICTNESS.index(each.use)))
    return Proposal(
        level=level,
        sharing=Sharing.UNCONDITIONAL if level is Level.GENERAL_1 else Sharing.CONDITIONAL,
        use=use,
        unit=chosen.unit if use is Use.KEY else "",
        unit_of_measure=chosen.measured if use is Use.MEASURE else "",
        sensitivity=strictest.what,
        reasons=tuple(dict.fromkeys(each.reason for each in findings)),
    )


def _by_names(names: tuple[str, ...], column: ColumnDescription) -> Iterator[_Finding]:
    for rule, pattern in _READ:
        for name in names:
            # An underscore is a letter to \b; the words of a name are separated for it.
            found = pattern.search(name) or pattern.search(name.replace("_", " "))
            if found:
                use = rule.use
                if use is Use.SENSITIVE_DIMENSION and column.kind in (
                    TypeKind.DECIMAL,
                    TypeKind.INTEGER,
                ):
                    use = Use.MEASURE
                if column.kind is TypeKind.DATE and use is Use.DIMENSION:
                    use = Use.DATE
                reason = (
                    f"its name {name} speaks of {rule.what[0]}",
                    f"名称 {name} 与{rule.what[1]}有关",
                )
                yield rule.finding(reason, use)
                break


def _by_values(values: Values) -> Iterator[_Finding]:
    if not values.present:
        return
    for shape, (rule, (english, chinese)) in _BY_SHAPE.items():
        share = values.like.get(shape, 0) / values.present
        shadow = max((values.like.get(each, 0) for each in _SHADOWED.get(shape, ())), default=0)
        if share < _SOME or shadow / values.present >= _SOME:
            continue
        percent = int(share * 100)
        reason = (
            f"{percent} % of its values look like {english}",
            f"{percent}% 的取值形似{chinese}",
        )
        # A column with some of them by accident may be no key, and must not be shown either.
        yield rule.finding(reason, rule.use if share >= _MOST else Use.DENIED)


def _by_type(column: ColumnDescription, values: Values | None) -> _Finding:
    few = values is not None and 0 < values.distinct <= _CODES_MAX
    few = few and values is not None and values.present >= _ROWS_PER_CODE * values.distinct
    match column.kind:
        case TypeKind.OTHER:
            use, what = Use.DENIED, ("a type that the platform does not read", "平台不支持的类型")
        case TypeKind.DATE:
            use, what = Use.DATE, ("a date", "日期")
        case TypeKind.BOOLEAN:
            use, what = Use.DIMENSION, ("a yes or no", "是否标识")
        case TypeKind.DECIMAL:
            use, what = Use.MEASURE, ("a number with decimals", "小数")
        case _ if few:
            use, what = Use.DIMENSION, ("a short list of codes", "少量代码")
        case TypeKind.INTEGER:
            use, what = Use.MEASURE, ("a whole number", "整数")
        case _:
            use, what = Use.DENIED, ("text of many values", "取值繁多的文本")
    level = Level.GENERAL_3 if use is Use.DENIED else Level.GENERAL_2
    return _Finding(level, use, what, (f"it is {what[0]}", f"其为{what[1]}"))
