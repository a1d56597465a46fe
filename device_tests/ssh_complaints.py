"""What ssh's complaints mean, and what to do about them."""

from __future__ import annotations

from mobiledeploy.device_tests.errors import DeviceError, DeviceLost, one_line


def explain(complaint: str, device: str, by_hand: str) -> DeviceError:
    """An error for what ssh printed.

    Args:
        complaint: its standard error.
        device: name of the device.
        by_hand: the command that a user would log in with.
    """
    if "IDENTIFICATION HAS CHANGED" in complaint:
        return DeviceError(
            "the host's key is another than the known one",
            where=device,
            hint="If it was set up anew, remove the old key with ssh-keygen -R; if not, do not connect",
        )
    if "Host key verification failed" in complaint:
        return DeviceError(
            "the host's key is not known",
            where=device,
            hint=f"Compare its fingerprint and accept it once, by hand: {by_hand}",
        )
    if "Permission denied" in complaint or "Too many authentication failures" in complaint:
        return DeviceError(
            "the login was refused; there is no one to type a password",
            where=device,
            hint=f"Give it your public key (ssh-copy-id), or load your key (ssh-add); try it with: {by_hand}",
        )
    if "Could not resolve hostname" in complaint:
        return DeviceLost("no such host", where=device, hint="Check the name, or add it to ~/.ssh/config")
    if "Connection refused" in complaint:
        return DeviceLost(
            "nothing listens there", where=device, hint="Check the port and that its ssh server runs"
        )
    if "Bad owner or permissions" in complaint or "Bad configuration option" in complaint:
        return DeviceError(f"ssh refuses its configuration ({one_line(complaint)})", where=device)
    return DeviceLost(
        f"the connection was lost ({one_line(complaint) or 'ssh said nothing'})",
        where=device,
        hint="Check the host and the network",
    )
