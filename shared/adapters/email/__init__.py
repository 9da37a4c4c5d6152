"""Adapter: mail over SMTP."""

from shared.adapters.email.smtp import SmtpNotifier, SmtpServer

__all__ = ["SmtpNotifier", "SmtpServer"]
