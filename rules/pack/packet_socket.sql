-- id: packet-socket
-- title: Program reads packets
-- description: A program that is not known to need it has made a packet socket, or
--   one of XDP, which sees all traffic of the host beside its sockets. Backdoors wait on one
--   for a packet that wakes them, without any port that listens; others record
--   passwords.
-- severity: medium
-- tags: attack.command-and-control, attack.credential-access, attack.t1040, attack.t1205.002
-- dedup: user_id, executable_path
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1205/002/, https://attack.mitre.org/techniques/T1040/
-- falsepositives: network daemons that are not in the list, scanners of a security team
-- author: DaemonEye
-- version: 2
-- date: 2026-11-30

-- Recorders of packets are told of by packet-sniffer.
SELECT time, entity_id, pid, user_name, executable_path, command_line, socket_type, protocol, parent_executable_path
FROM network_events
WHERE event = 'socket' AND address_family IN ('packet', 'xdp') AND result = 'success'
  AND (executable_path IS NULL OR executable_path !~ ('^/usr/(local/)?(s?bin|lib(exec)?(/[a-z0-9_.-]+)*)/(tcpdump|tshark|dumpcap|dsniff|ettercap[a-z-]*|ngrep|netsniff-ng|bettercap'
    || '|dhclient|dhcpcd|dhcpd|dnsmasq|udhcpc|busybox|kea-dhcp4|systemd-networkd|NetworkManager|nm-dispatcher|connmand|wpa_supplicant|hostapd|iwd'
    || '|lldpd|lldpad|ladvd|keepalived|ptp4l|pppd|pppoe|arping|arpwatch|arp-scan|avahi-autoipd|avahi-daemon|suricata|snort|zeek|nmap|nping|mtr-packet|qemu-system-[a-z0-9_]+)$'))
