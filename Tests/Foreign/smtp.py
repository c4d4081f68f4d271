"""A mail server nobody here wrote: aiosmtpd, on a port of 127.0.0.1, until standard input ends.

    smtp.py starttls|tls|plain [CERTIFICATE KEY]

Prints `port N`, then a JSON object a line for each message it takes. With TLS it takes messages
only from the user robot with the password s3cret. Mail to nobody@ is refused for good, mail to
later@ for now.
"""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "authenticated": bool(session.authenticated),
            "message": envelope.content.decode("utf-8"),
        }
        print(json.dumps(taken), flush=True)
        return "250 2.0.0 taken as 4711"


def authenticate(server, session, envelope, mechanism, data):
    isRight = data.login == b"robot" and data.password == b"s3cret"
    return AuthResult(success=isRight, handled=isRight)


async def serve(mode, *files):
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)

    def session():
        if mode == "plain":
            return SMTP(Handler())
        return SMTP(
            Handler(),
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=mode == "starttls",
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        session, "127.0.0.1", 0, ssl=context if mode == "tls" else None
    )
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(serve(*sys.argv[1:]))
