"""Adapter: mail, over SMTP or Azure Communication Services."""

from shared.adapters.email.communication_services import CLIENT_OPTIONS, CommunicationServicesNotifier
from shared.adapters.email.smtp import SmtpNotifier, SmtpServer

__all__ = ["CLIENT_OPTIONS", "CommunicationServicesNotifier", "SmtpNotifier", "SmtpServer"]
