-- id: systemd-unit-made
-- title: Systemd unit was put in place by hand
-- description: A program that is neither a package manager nor systemd made a unit: what it
--   names is started again after each boot, or at times.
-- severity: medium
-- tags: attack.persistence, attack.privilege-escalation, attack.t1543.002, attack.t1053.006
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1543/002/,
--   https://attack.mitre.org/techniques/T1053/006/
-- falsepositives: administrators and configuration management
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('create', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^(/etc|/run|/usr/lib|/lib|/usr/local/lib|/root/\.config|/home/[^/]+/\.config)/systemd/(system|user)/.*\.(service|timer|socket|path|conf)$'
  AND coalesce(executable_path, '') !~ '/(systemctl|systemd|systemd-[a-z0-9-]+|netplan|snapd|generate)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
