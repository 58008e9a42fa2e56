"""Telling by e-mail: one message by SMTP, the picture attached."""

import hashlib
import smtplib
import ssl
from collections.abc import Collection
from email.message import EmailMessage
from email.utils import formatdate

from acquisition.smtp import Exchange, SafeExchange
from acquisition.telling_message import Message
from acquisition.telling_webhook import TIMEOUT_S, NotTold, in_words, secret
from devices.telling_settings import Mail

ID_DIGITS = 32  # of 64 that a digest has: no two messages of a lab will share them


def mail(settings: Mail, message: Message) -> str:
    """Send a message; returns once the server has taken it: whom it refused, in words, empty if nobody.

    Raises:
        NotTold: no server, or a slow one, no encryption where it was asked for, all refused, or no password set.
    """
    password = secret(settings.password_env) if settings.password_env else None
    try:
        with _connected(settings) as server:
            if settings.user is not None and password is not None:
                server.login(settings.user, password)
            return _refusing(server.send_message(letter(settings, message)))
    except OSError as error:  # SMTPException is one
        raise NotTold(_in_words(error)) from None
    except ValueError:  # its own words would quote letters of the password
        raise NotTold("the password, an address or the text holds characters that mail does not take") from None


def letter(settings: Mail, message: Message) -> EmailMessage:
    """The message as it is sent."""
    found = EmailMessage()
    found["Subject"] = " ".join(f"nanoraster: {message.headline}".split())  # a name may hold line breaks, a header not
    found["From"] = settings.sender
    found["To"] = ", ".join(settings.to)
    found["Date"] = formatdate()
    name = hashlib.sha256(message.id.encode()).hexdigest()[:ID_DIGITS]
    found["Message-ID"] = f"<{name}@{settings.sender.rpartition('@')[2]}>"
    found.set_content(message.text)
    if message.picture is not None:
        found.add_attachment(message.picture, maintype="image", subtype="png", filename="mosaic.png")
    return found


def _refusing(recipients: Collection[str]) -> str:
    return f"the server refused {', '.join(recipients)}" if recipients else ""


def _in_words(error: OSError) -> str:
    match error:
        case smtplib.SMTPServerDisconnected(__context__=TimeoutError() as late):
            return in_words(late)
        case smtplib.SMTPAuthenticationError(smtp_code=code):  # what is said may echo the password
            return f"the server says {code}: user or password refused"
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=said):
            return f"the server says {code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            return _refusing(refused)
        case smtplib.SMTPException():
            return str(error)
    return in_words(error)


def _connected(settings: Mail) -> smtplib.SMTP:
    """A connection, encrypted as far as asked for."""
    if settings.security == "tls":
        return SafeExchange(settings.host, settings.port, TIMEOUT_S)
    server = Exchange(settings.host, settings.port, TIMEOUT_S)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
