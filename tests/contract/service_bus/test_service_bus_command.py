"""The command line: which configurations it takes, and what it says about the others."""

import json
import subprocess
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError
from service_bus_process import ROOT, BrokerProcess, Handlers, broker_command, emulator_config

# The shape of the sample that comes with the official emulator: comments, a byte order mark, topics with rules.
_OFFICIAL_SHAPE = """\ufeff{
  "UserConfig": {
    "Namespaces": [{
      "Name": "sbemulatorns",
      "Queues": [{"Name": "queue.1", "Properties": {
        "DeadLetteringOnMessageExpiration": false, "DefaultMessageTimeToLive": "PT1H",
        "DuplicateDetectionHistoryTimeWindow": "PT20S", "ForwardDeadLetteredMessagesTo": "", "ForwardTo": "",
        "LockDuration": "PT1M", "MaxDeliveryCount": 3, "RequiresDuplicateDetection": false,
        "RequiresSession": false}}],
      "Topics": [{"Name": "topic.1", "Properties": {"DefaultMessageTimeToLive": "PT1H"},
        "Subscriptions": [{"Name": "subscription.1", "Properties": {"LockDuration": "PT1M"},
          "Rules": [{"Name": "r", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {
            "ContentType": "application/json" // "To": "xyz"
          }}}]}]}]
    }],
    /* where to write */ "Logging": {"Type": "File"}
  }
}"""


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)


def test_the_official_configuration_is_accepted(tmp_path: Path) -> None:
    """Its queue is served; its topic is known, and refused by name as not implemented."""
    broker = BrokerProcess(directory=tmp_path, config=_OFFICIAL_SHAPE)
    broker.start()
    handlers = Handlers(broker.client())
    try:
        handlers.sender("queue.1").send_messages(ServiceBusMessage("x"))
        assert broker.get("/queues")["queue.1"]["active"] == 1
        with pytest.raises(ServiceBusError, match="amqp:not-implemented"):
            handlers.sender("topic.1").send_messages(ServiceBusMessage("x"))
    finally:
        handlers.close()
        broker.stop()


def test_our_own_configuration_is_served(tmp_path: Path) -> None:
    """The application's four queues are there, each with what its design relies on."""
    config = json.loads((ROOT / "local/service_bus/Config.json").read_text())
    queues = {entity["Name"]: entity["Properties"] for entity in config["UserConfig"]["Namespaces"][0]["Queues"]}
    assert list(queues) == ["promotion", "deployment", "smoke-test", "control"]
    assert {given["MaxDeliveryCount"] for given in queues.values()} == {10}
    assert {given["RequiresDuplicateDetection"] for given in queues.values()} == {True}
    broker = BrokerProcess(directory=tmp_path, config=config)
    broker.start()
    assert list(broker.get("/queues")) == list(queues)
    assert broker.get("/health")["status"] == "healthy"
    broker.stop()


def test_a_signal_stops_it_cleanly(own_broker: BrokerProcess) -> None:
    """SIGTERM ends the process with code 0; its ports are free for the next one."""
    assert own_broker.terminate() == 0
    own_broker.start()
    assert own_broker.is_healthy()


def test_a_wrong_configuration_is_explained(tmp_path: Path) -> None:
    """The process ends with code 2 and one line that names the queue and the bound."""
    config = tmp_path / "Config.json"
    config.write_text(json.dumps(emulator_config(promotion={"LockDuration": "PT10M"})))
    ended = _run(broker_command(config, tmp_path, 1, 2))
    assert ended.returncode == 2
    assert ended.stderr.startswith("queue promotion: LockDuration PT10M is not between")
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said_in_one_line(broker: BrokerProcess, tmp_path: Path) -> None:
    """The second broker on a port names it and ends with code 1."""
    config = tmp_path / "Config.json"
    config.write_text(json.dumps(emulator_config(work={})))
    ended = _run(broker_command(config, tmp_path / "data", broker.port, broker.health_port))
    assert ended.returncode == 1
    assert f":{broker.port}" in ended.stderr
    assert "Traceback" not in ended.stderr
