"""Server and client app on an IPv6 address: pages, sockets and the link between them."""

import pytest

from tests.support.processes import Process, free_ports, has_ipv6, run
from tests.support.system_parts import Clinician


@pytest.mark.full
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_patient_reaches_the_server_over_ipv6(processes: list[Process], environment: dict[str, str]) -> None:
    environment |= {"HOST": "::1", "ALLOWED_HOSTS": "::1", "CLIENT_1_CLINICIAN_TOKEN": "a-clinicians-token"}
    server_url = run(processes, environment).wait_until_started().split()[-1]
    of_client = {"PORT": str(free_ports(1)[0]), "CLIENT_ID": "Client-1", "SERVER_URL": server_url}
    client_url = run(processes, environment | of_client, "client").wait_until_started().split()[-1]
    assert client_url == f"http://[::1]:{of_client['PORT']}"
    with Clinician(f"{client_url}/sign-in#token=a-clinicians-token") as clinician:
        request_id = clinician.submit()
        assert clinician.answers([request_id])[request_id]["client_id"] == "Client-1"
