"""The error tree and the table of codes.

One class for each party *who must act*; codes live within a class, are append-only and never reused::

    MiddleplatformError
    ├── QueryError       Q  the analyst: the statement itself
    ├── PolicyError      P  the analyst or the policy's owner: a rule refuses
    ├── DisclosureError  D  the analyst: the answer would disclose
    ├── SourceError      S  the department: its source failed
    ├── ProtocolError    X  operator, security: a party deviated
    ├── LimitError       L  operator: a limit was reached, try later
    ├── AuditError       A  operator: the log cannot take or prove an entry
    └── ConfigError      C  operator: the configuration is refused

Every ``public_message`` is made from the query, the policy and the configuration alone, never from data:
an error is an answer too. ``detail`` goes to the operator's log only.
"""

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "CODES",
    "AuditError",
    "Code",
    "ConfigError",
    "DisclosureError",
    "LimitError",
    "MiddleplatformError",
    "PolicyError",
    "ProtocolError",
    "QueryError",
    "SourceError",
]


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code: its name and its message and hint templates in English and Chinese."""

    code: str
    name: str
    message_en: str
    message_zh: str
    hint_en: str = ""
    hint_zh: str = ""


def _table(*rows: Code) -> dict[str, Code]:
    table = {row.code: row for row in rows}
    assert len(table) == len(rows), "a code is used twice"
    return table


CODES: dict[str, Code] = _table(
    Code("Q001", "SYNTAX", "The statement is not valid SQL near line {line}, column {column}.",
         "语句在第 {line} 行第 {column} 列附近不是有效的 SQL。",
         "PostgreSQL dialect; one SELECT.", "请使用 PostgreSQL 方言的单条 SELECT。"),
    Code("Q002", "TOO_LONG", "The statement has more than {limit} characters.",
         "语句超过 {limit} 个字符。", "Shorten it or split the question.", "请缩短语句或拆分问题。"),
    Code("Q003", "TOO_DEEP", "The statement is nested deeper than {limit} levels.",
         "语句嵌套超过 {limit} 层。", "Flatten the nesting.", "请减少嵌套。"),
    Code("Q004", "TOO_MANY_JOINS", "The statement joins more than {limit} relations.",
         "语句连接的关系超过 {limit} 个。", "Split the question.", "请拆分问题。"),
    Code("Q010", "OUTSIDE_SUBSET", "{what} is outside the SQL that the platform accepts.",
         "平台不接受 {what}。", "See docs/reference/sql.md.", "参见 docs/reference/sql.md。"),
    Code("Q020", "UNKNOWN_COLUMN", "Column {name} is not in the catalogue.",
         "目录中没有列 {name}。", "Run: middleplatform catalog", "请运行 middleplatform catalog 查看目录。"),
    Code("Q021", "UNKNOWN_TABLE", "Table {name} is not in the catalogue.",
         "目录中没有表 {name}。", "Run: middleplatform catalog", "请运行 middleplatform catalog 查看目录。"),
    Code("Q022", "AMBIGUOUS_COLUMN", "Column {name} is ambiguous.", "列 {name} 不明确。",
         "Qualify it with its table.", "请用表名限定该列。"),
    Code("Q023", "NOT_GROUPED", "{what} must stand in GROUP BY or inside an aggregate.",
         "{what} 必须出现在 GROUP BY 中或聚合函数内。", "Group by it or aggregate it.", "请对其分组或聚合。"),
    Code("Q030", "NEEDS_PRIVATE_JOIN",
         "The statement joins rows of several departments ({departments}): it needs a private join.",
         "语句要连接多个部门（{departments}）的数据行：需要隐私连接协议。",
         "Aggregate each department first and join the results, or ask the platform.",
         "请先在各部门内聚合再连接结果，或通过平台查询。"),
    Code("Q031", "NOT_PLANNABLE", "No protocol can answer this form: {what}.",
         "没有协议可以回答这种形式：{what}。", "See docs/reference/sql.md.", "参见 docs/reference/sql.md。"),
    Code("Q040", "BAD_REQUEST", "The request is not valid: {what}.", "请求无效：{what}。"),
    Code("Q041", "NOT_FOUND", "There is no {what}.", "不存在{what}。"),
    Code("Q042", "NOT_NOW", "That is not possible as things stand: {what}.", "在当前状态下无法执行：{what}。",
         "Look at the present state and try again.", "请查看当前状态后重试。"),
    Code("P001", "DENIED", "Refused by rule {rule}: {what}.", "按规则 {rule} 拒绝：{what}。"),
    Code("P002", "PURPOSE", "Refused by rule {rule}: {what}.", "按规则 {rule} 拒绝：{what}。"),
    Code("P003", "GRANT", "Refused by rule {rule}: {what}.", "按规则 {rule} 拒绝：{what}。",
         "Apply to the data owner for a grant.", "请向数据提供部门申请授权。"),
    Code("P004", "ROLE", "This login may not do that: {what}.", "当前账号无权执行此操作：{what}。"),
    Code("P005", "UNAUTHENTICATED", "A valid service token is needed.", "需要有效的服务令牌。"),
    Code("P006", "LOGIN_FAILED", "The login did not succeed.", "登录未成功。",
         "Try again; your administrator can see why.", "请重试；管理员可查看原因。"),
    Code("P007", "FROZEN", "Stopped: {what}.", "已停止：{what}。",
         "Ask the security officers.", "请联系安全管理员。"),
    Code("D001", "WITHHELD", "The answer is withheld by rule {rule}.", "答案按规则 {rule} 不予发布。"),
    Code("D010", "OVERLAPS_RELEASE",
         "Refused by rule {rule}: too close to a question that was already answered.",
         "按规则 {rule} 拒绝：与已回答的问题过于接近。",
         "Ask for the published groups, or for a clearly different population.",
         "请查询已发布的分组，或明显不同的总体。"),
    Code("D011", "NEAR_DUPLICATES", "Refused by rule {rule}: too many near-identical questions today.",
         "按规则 {rule} 拒绝：当日近似重复的问题过多。", "Ask one grouped question instead.",
         "请改用一个分组查询。"),
    Code("D012", "NEEDS_NOISE",
         "Refused by rule {rule}: this population is answered with differential privacy only.",
         "按规则 {rule} 拒绝：该总体仅以差分隐私方式作答。",
         "Ask again with noise (--noise), where policy offers it, or for a larger population.",
         "在策略允许时以差分隐私方式提问（--noise），或扩大总体。"),
    Code("D013", "BUDGET_SPENT", "Refused: the privacy budget of {what} does not reach.",
         "{what} 的隐私预算不足，不予作答。",
         "See what is left with budget show.", "用 budget show 查看剩余预算。"),
    Code("D014", "NO_NOISE", "Differential privacy is not offered for {what}.", "{what} 不提供差分隐私作答。"),
    Code("S001", "UNREACHABLE", "Department {department} cannot be reached.", "无法连接部门 {department}。",
         "Try again later.", "请稍后重试。"),
    Code("S002", "DEADLINE", "Department {department} did not answer in time.",
         "部门 {department} 未能按时应答。", "Try again later.", "请稍后重试。"),
    Code("S003", "SOURCE_FAILED", "The source of department {department} failed.",
         "部门 {department} 的数据源出错。", "Its operator has the details.", "该部门运维人员可查看详情。"),
    Code("S010", "SCHEMA_DRIFT",
         "The source of department {department} no longer has the registered schema of {dataset}: {what}.",
         "部门 {department} 的数据源与登记的 {dataset} 结构不一致：{what}。",
         "The department must register the change.", "请该部门登记变更。"),
    Code("S011", "NOT_CONNECTED", "{name} is registered in the catalogue but not connected.",
         "{name} 已登记目录但尚未接入。", "Ask the department when it will be connected.", "请向该部门了解接入计划。"),
    Code("X001", "BAD_MESSAGE", "The protocol was ended: a message was refused.", "协议已终止：消息被拒绝。"),
    Code("X002", "REPLAY", "The protocol was ended: a message was refused.", "协议已终止：消息被拒绝。"),
    Code("X003", "FRAGMENT_REFUSED", "Department {department} refused the fragment by its own policy (rule {rule}).",
         "部门 {department} 按其自身策略拒绝执行（规则 {rule}）。"),
    Code("X004", "OUT_OF_RANGE", "The protocol was ended: a value does not fit the declared range.",
         "协议已终止：数值超出声明范围。"),
    Code("X005", "CLOCK_SKEW",
         "The clocks of the platform and of department {department} differ by more than {limit} seconds.",
         "平台与部门 {department} 的时钟相差超过 {limit} 秒。",
         "Its operator must set the clock.", "请运维人员校准时钟。"),
    Code("X006", "IDENTITY_REFUSED", "The identity of {party} was refused: {what}.",
         "{party} 的身份被拒绝：{what}。",
         "Run: middleplatform gateway status, and middleplatform node status",
         "请运行 middleplatform gateway status 与 middleplatform node status。"),
    Code("X007", "KEY_REFUSED", "The sealing key of {party} was refused: {what}.",
         "{party} 的密封公钥被拒绝：{what}。", "Make a new key: middleplatform keys new",
         "请生成新密钥：middleplatform keys new"),
    Code("X008", "PROVIDER", "The provider of identities cannot be used now.", "身份提供方暂时不可用。",
         "Try again later, or log in with a service token.", "请稍后重试，或使用服务令牌登录。"),
    Code("X009", "POLICY_REFUSED", "Department {department} refused a policy document of the platform: {what}.",
         "部门 {department} 拒绝了平台的策略文件：{what}。"),
    Code("L001", "BUSY", "Too many questions at once.", "并发查询过多。", "Try again later.", "请稍后重试。"),
    Code("L002", "CELLS_MAX", "The answer would have more than {limit} cells.", "答案的单元格超过 {limit} 个。",
         "Group more coarsely.", "请使用更粗的分组。"),
    Code("L003", "CANCELLED", "The question was cancelled.", "查询已取消。"),
    Code("L004", "TOO_MUCH_WORK", "The part over released cells took more than {limit} seconds.",
         "已发布单元格上的计算超过 {limit} 秒。", "Join and order fewer cells.", "请减少连接和排序的单元格。"),
    Code("L005", "JOIN_ROWS_MAX", "The join would take more than {limit} rows of the departments.",
         "连接涉及的各部门数据行超过 {limit} 行。", "Filter more, or group by the key first.",
         "请增加过滤条件，或先按键分组。"),
    Code("L006", "GATEWAY_GONE", "The gateway that was at work on the question is gone.",
         "处理该查询的网关已停止运行。", "Ask again.", "请重新提交查询。"),
    Code("L007", "TOO_FAST", "Too many requests: wait {seconds} seconds.", "请求过于频繁：请等待 {seconds} 秒。"),
    Code("L008", "TOO_MANY_FAILURES", "Too many failed logins: wait {seconds} seconds.",
         "登录失败次数过多：请等待 {seconds} 秒。"),
    Code("A001", "APPEND_FAILED", "The audit log cannot take an entry, so no answer is given.",
         "审计日志无法写入，因此不予应答。", "The operator must free the disk or repair the log.",
         "请运维人员清理磁盘或修复日志。"),
    Code("A002", "LOG_INVALID", "The audit log does not verify: {what}.", "审计日志校验失败：{what}。",
         "Run: middleplatform audit verify", "请运行 middleplatform audit verify。"),
    Code("A003", "LOG_LOCKED", "The audit log is in use by another process.", "审计日志正被其他进程使用。"),
    Code("A004", "NO_ENTRY", "The audit log has no entry {index}.", "审计日志没有第 {index} 条记录。"),
    Code("A005", "PLACE_LOST", "This gateway has lost its place beside the others and enters nothing more.",
         "本网关已失去其在共享存储中的席位，不再写入记录。", "Start it again.", "请重新启动该网关。"),
    Code("C001", "BUNDLE_INVALID", "The policy bundle is not valid: {what}.", "策略包无效：{what}。"),
    Code("C002", "CATALOG_INVALID", "The catalogue is not valid: {what}.", "数据目录无效：{what}。"),
    Code("C003", "SETTINGS_INVALID", "The settings are not valid: {what}.", "配置无效：{what}。"),
    Code("C004", "DATABASE_MISSING", "The database of department {department} is missing.",
         "部门 {department} 的数据库不存在。",
         "Run: middleplatform demo", "请运行 middleplatform demo。"),
    Code("C005", "DATABASE_LOCKED", "The database of department {department} is locked by another process.",
         "部门 {department} 的数据库被其他进程锁定。", "Close the other process.", "请关闭占用它的进程。"),
    Code("C006", "KEY_INVALID", "A key file is not valid: {what}.", "密钥文件无效：{what}。"),
    Code("C010", "FOREIGN_PACKAGE", "Package {name} is not the platform's own.", "软件包 {name} 不属于本平台。"),
    Code("C011", "DISK", "The file system refused a write: {what}.", "文件系统拒绝写入：{what}。",
         "Free space or check the permissions.", "请清理空间或检查权限。"),
    Code("C012", "NOT_ENROLLED", "{party} is not enrolled: {what}.", "{party} 尚未注册：{what}。",
         "See docs/enrolment.md.", "参见 docs/enrolment.md。"),
    Code("C013", "REGISTRATION", "The registration of {name} is not complete: {what}.", "{name} 的登记不完整：{what}。",
         "Run: middleplatform connector test", "请运行 middleplatform connector test。"),
    Code("C014", "HISTORY_OLD", "The history {name} is of an earlier version, without sets of units.",
         "历史记录 {name} 属于旧版本，不含保护单元集合。", "Move it away; answers given before are then not compared.",
         "请将其移走；此后不再与以前的答复比较。"),
    Code("C015", "STORE", "The platform's store cannot be used: {what}.", "无法使用平台存储：{what}。",
         "Check the setting store, and that the database runs.", "请检查设置 store 以及数据库是否运行。"),
    Code("C099", "INTERNAL", "An internal error occurred; the query ended. Its record is {record}.",
         "发生内部错误，查询已终止。记录号 {record}。"),
)  # fmt: skip


class MiddleplatformError(Exception):
    """Base of every error that the platform raises on purpose.

    Args:
        code: A key of ``CODES`` with this class's prefix.
        detail: For the operator's log only; may say more than an analyst may see.
        rule: The policy rule at work, e.g. ``"R3"``; empty where none is.
        **parts: What the message template names; made from query, policy or configuration only.

    Attributes:
        reasons: ``model.decision.Reason`` values of a refusal, the one that is told first.
        audit_index: Index of the entry that records it, once there is one.
    """

    prefix: ClassVar[str] = ""
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retry: ClassVar[bool] = False

    def __init__(self, code: str, *, detail: str = "", rule: str = "", **parts: object) -> None:
        assert code.startswith(self.prefix), f"{code} is not a {type(self).__name__}"
        self.entry = CODES[code]
        self.code = code
        self.detail = detail
        self.rule = rule
        self.parts = {**parts, "rule": rule}
        self.reasons: tuple[object, ...] = ()
        self.audit_index: int | None = None
        super().__init__(self.message("en"))

    def message(self, locale: str) -> str:
        """Return the public message in ``locale`` (``"en"`` or ``"zh"``)."""
        template = self.entry.message_zh if locale == "zh" else self.entry.message_en
        return template.format(**{key: _pick(value, locale) for key, value in self.parts.items()})

    def hint(self, locale: str) -> str:
        """Return what to do next in ``locale``, or an empty string."""
        return self.entry.hint_zh if locale == "zh" else self.entry.hint_en

    @property
    def public_message(self) -> str:
        """Return the public message in English."""
        return self.message("en")


def _pick(value: object, locale: str) -> object:
    """Choose the text of ``locale`` when ``value`` is an (English, Chinese) pair."""
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - a pair of languages
        return value[1] if locale == "zh" else value[0]
    return value


class QueryError(MiddleplatformError):
    """The statement itself cannot be taken: the analyst changes it."""

    prefix, http_status, exit_code = "Q", 422, 10


class PolicyError(MiddleplatformError):
    """A policy rule refuses: the analyst changes the question or asks for a grant."""

    prefix, http_status, exit_code = "P", 403, 11


class DisclosureError(MiddleplatformError):
    """The answer would disclose: nothing is released."""

    prefix, http_status, exit_code = "D", 403, 12


class SourceError(MiddleplatformError):
    """A department's source failed."""

    prefix, http_status, exit_code, retry = "S", 502, 13, True


class ProtocolError(MiddleplatformError):
    """A party deviated from a protocol; all causes look alike outside."""

    prefix, http_status, exit_code = "X", 502, 14


class LimitError(MiddleplatformError):
    """A limit was reached; later may work."""

    prefix, http_status, exit_code, retry = "L", 429, 15, True


class AuditError(MiddleplatformError):
    """The log cannot take or prove an entry: no receipt, no answer."""

    prefix, http_status, exit_code = "A", 503, 16


class ConfigError(MiddleplatformError):
    """The configuration is refused: nothing starts."""

    prefix, http_status, exit_code = "C", 500, 17
