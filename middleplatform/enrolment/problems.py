"""What a failed connection means, and what to do about it, in both languages.

Imported by trust, and by whoever opens or takes connections.
Spec: docs/enrolment.md, "When a connection is refused".

Reveals:
    Which check a certificate failed, to the operators of both sides: nothing of any data.
"""

import ssl

from middleplatform.enrolment.documents import refused
from middleplatform.errors import MiddleplatformError, SourceError

__all__ = [
    "EXPIRED",
    "NONE_SHOWN",
    "NOT_YET",
    "OTHER_NAME",
    "OURS_EXPIRED",
    "OURS_NOT_YET",
    "OURS_REVOKED",
    "REVOKED",
    "UNKNOWN_AUTHORITY",
    "tls_problem",
]

_Sentence = tuple[str, str]

EXPIRED = (
    (
        "its certificate has expired; its operator runs: middleplatform node rotate"
        " (gateway rotate for the gateway)"
    ),
    "其证书已过期；请其运维人员运行 middleplatform node rotate（网关为 gateway rotate）",
)
NOT_YET = (
    "its certificate does not hold yet: the clocks of the two machines differ; set them by NTP",
    "其证书尚未生效：两台机器时钟不一致；请用 NTP 校准",
)
UNKNOWN_AUTHORITY = (
    (
        "its certificate is of an authority that is not in the roster for it; compare fingerprints, then"
        " enrol it again, or bring the newest roster"
    ),
    "其证书的签发机构不在名册中；请核对指纹后重新注册，或更新名册",
)
OTHER_NAME = (
    "its certificate is for another party; check its address in the roster",
    "其证书属于其他主体；请检查名册中的地址",
)
REVOKED = (
    (
        "its certificate is revoked; its operator runs: middleplatform node rotate"
        " (gateway rotate for the gateway)"
    ),
    "其证书已吊销；请其运维人员运行 middleplatform node rotate（网关为 gateway rotate）",
)
_NOT_VALID = (
    "its certificate is not valid; its operator runs: middleplatform node rotate",
    "其证书无效；请其运维人员运行 middleplatform node rotate",
)
NONE_SHOWN = (
    "it showed no certificate; only enrolled parties are let in",
    "其未出示证书；仅允许已注册主体连接",
)
_OLD_TLS = ("it does not speak TLS 1.3", "其不支持 TLS 1.3")
_NO_TLS = (
    "what answers at its address does not speak TLS; check the address in the roster",
    "该地址的服务不使用 TLS；请检查名册中的地址",
)
OURS_EXPIRED = (
    "our own certificate has expired; run: middleplatform gateway rotate (node rotate on a node)",
    "我方证书已过期；请运行 middleplatform gateway rotate（节点为 node rotate）",
)
_OURS_UNKNOWN = (
    "it does not know the authority of our certificate; it must be enrolled on this platform",
    "对方不认识我方证书的签发机构；其须在本平台注册",
)
OURS_REVOKED = (
    "our own certificate is revoked; run: middleplatform gateway rotate (node rotate on a node)",
    "我方证书已吊销；请运行 middleplatform gateway rotate（节点为 node rotate）",
)
_OURS_REFUSED = (
    "it refused our certificate; its operator sees why with: middleplatform node status",
    "对方拒绝了我方证书；其运维人员可运行 middleplatform node status 查看原因",
)
_OURS_MISSING = (
    "it asks for a certificate and we showed none; run: middleplatform gateway status",
    "对方要求出示证书而我方未出示；请运行 middleplatform gateway status",
)
OURS_NOT_YET = (
    "our certificate does not hold yet: this machine's clock is wrong; set it by NTP",
    "我方证书尚未生效：本机时钟有误；请用 NTP 校准",
)
_BROKEN_OFF = (
    "the connection was broken off while identities were checked; its operator's log says why",
    "身份校验过程中连接中断；原因见其运维日志",
)

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_BY_VERIFY_CODE: dict[int, _Sentence] = {
    9: NOT_YET, 10: EXPIRED, 18: UNKNOWN_AUTHORITY, 19: UNKNOWN_AUTHORITY, 2: UNKNOWN_AUTHORITY,
    20: UNKNOWN_AUTHORITY, 21: UNKNOWN_AUTHORITY, 7: UNKNOWN_AUTHORITY, 23: REVOKED, 62: OTHER_NAME,
}  # fmt: skip
# Parts of OpenSSL's reason names; the first that fits counts. An alert is what the other side says.
_BY_REASON: tuple[tuple[str, _Sentence], ...] = (
    ("ALERT_CERTIFICATE_EXPIRED", OURS_EXPIRED),
    ("ALERT_CERTIFICATE_REVOKED", OURS_REVOKED),
    ("ALERT_CERTIFICATE_REQUIRED", _OURS_MISSING),
    ("ALERT_UNKNOWN_CA", _OURS_UNKNOWN),
    ("ALERT_PROTOCOL_VERSION", _OLD_TLS),
    ("ALERT_BAD_CERTIFICATE", _OURS_REFUSED),
    ("ALERT_CERTIFICATE_UNKNOWN", _OURS_REFUSED),
    ("ALERT_UNSUPPORTED_CERTIFICATE", _OURS_REFUSED),
    ("ALERT_ACCESS_DENIED", _OURS_REFUSED),
    ("ALERT_DECRYPT_ERROR", _OURS_REFUSED),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", NONE_SHOWN),
    ("UNSUPPORTED_PROTOCOL", _OLD_TLS),
    ("NO_PROTOCOLS_AVAILABLE", _OLD_TLS),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("HTTP_REQUEST", _NO_TLS),
    ("HTTPS_PROXY_REQUEST", _NO_TLS),
    ("PACKET_LENGTH_TOO_LONG", _NO_TLS),
)


def tls_problem(error: BaseException, party: str) -> MiddleplatformError:
    """Return the error to raise for a connection to or from ``party`` that failed.

    In TLS 1.3 a client learns that its certificate is refused only when it first reads: give what a
    read raises too.

    Args:
        error: An ``ssl.SSLError`` or ``OSError``, or a client library's wrapping of one.
        party: The other side.

    Returns:
        ProtocolError X006 with what to do, when identities were the reason; SourceError S001 when
        the other side could not be reached at all.
    """
    cause = _innermost(error)
    detail = f"{type(cause).__name__}: {cause}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        sentence = _BY_VERIFY_CODE.get(getattr(cause, "verify_code", -1), _NOT_VALID)
        return refused(party, *sentence, detail)
    if isinstance(cause, ssl.SSLError):
        reason = cause.reason or ""
        found = (sentence for part, sentence in _BY_REASON if part in reason)
        return refused(party, *next(found, _BROKEN_OFF), detail)
    return SourceError("S001", department=party, detail=detail)


def _innermost(error: BaseException) -> BaseException:
    """Return the standard library's error that a client library wrapped."""
    for _ in range(8):
        inner = (
            getattr(error, "certificate_error", None)
            or getattr(error, "os_error", None)
            or error.__cause__
        )
        if not isinstance(inner, BaseException) or inner is error:
            break
        error = inner
    return error
