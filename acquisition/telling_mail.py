"""Telling by e-mail: one message by SMTP, the picture attached."""

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from acquisition.telling_message import Message
from acquisition.telling_webhook import TIMEOUT_S, NotTold, secret
from devices.telling_settings import Mail


def mail(settings: Mail, message: Message) -> None:
    """Send a message; returns once the server has taken it.

    Raises:
        NotTold: no server, no encryption where it was asked for, refused, or the password is not set.
    """
    password = secret(settings.password_env) if settings.password_env else None
    try:
        with _connected(settings) as server:
            if settings.user is not None and password is not None:
                server.login(settings.user, password)
            server.send_message(letter(settings, message))
    except (OSError, ValueError) as error:  # SMTPException is an OSError; ValueError: an address in no known form
        raise NotTold(str(error)) from error


def letter(settings: Mail, message: Message) -> EmailMessage:
    """The message as it is sent."""
    found = EmailMessage()
    found["Subject"] = " ".join(f"nanoraster: {message.headline}".split())  # a name may hold line breaks, a header not
    found["From"] = settings.sender
    found["To"] = ", ".join(settings.to)
    found["Date"] = formatdate()
    found["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    found.set_content(message.text)
    if message.picture is not None:
        found.add_attachment(message.picture, maintype="image", subtype="png", filename="mosaic.png")
    return found


def _connected(settings: Mail) -> smtplib.SMTP:
    """A connection, encrypted as far as asked for; our name is not looked up, which can take minutes."""
    name = socket.gethostname()
    if settings.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(settings.host, settings.port, name, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(settings.host, settings.port, name, timeout=TIMEOUT_S)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
