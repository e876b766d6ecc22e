-- id: logging-reconfigured
-- title: Logging or auditing was reconfigured
-- description: A program that is no package manager wrote the configuration of the system's log
--   or audit.
-- severity: medium
-- tags: attack.defense-impairment, attack.t1685
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/
-- falsepositives: administrators and configuration management
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^/etc/(rsyslog\.(conf$|d/)|syslog-ng/|audit/|systemd/journald\.conf|libaudit\.conf$|logrotate\.d/|osquery/|falco/)'
  AND coalesce(executable_path, '') !~ '/(augenrules|auditctl|auditd)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
