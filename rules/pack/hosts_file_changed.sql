-- id: hosts-file-changed
-- title: Names of hosts were changed
-- description: Something wrote /etc/hosts, by which a name can be led to another address: that
--   of an update server, or of a security tool's.
-- severity: low
-- tags: attack.credential-access, attack.command-and-control, attack.t1565.001, attack.t1557
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1565/001/
-- falsepositives: container runtimes, tools for development, administrators
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) = '/etc/hosts'
  AND container_id IS NULL
  AND coalesce(command_line, '') !~ '(cloud-init|/\.?ansible[-/])'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
