-- id: system-name-masquerade
-- title: Program bears a system service's name and lies elsewhere
-- description: What runs is called like a service of the system and lies in none of its
--   directories. Who looks at the list of processes takes it for the real one.
-- severity: high
-- tags: attack.stealth, attack.t1036.005
-- dedup: executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1036/005/
-- falsepositives: developers of such a service who run what they have built
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '/(sshd|systemd|systemd-[a-z]+|init|crond?|dbus-daemon|rsyslogd|udevd|agetty|kthreadd|kworker[^/]*|ksoftirqd[^/]*|kswapd[0-9]*|polkitd|NetworkManager|chronyd|auditd|containerd|dockerd|atd|login)$'
  AND executable_path !~ '^/(usr|bin|sbin|lib|lib64|opt|snap|nix|gnu|var/lib/(snapd|rancher|docker|containers)|run/current-system)/'
  AND container_id IS NULL
  AND executable_path !~ '/(build|target|out|_build)/'
