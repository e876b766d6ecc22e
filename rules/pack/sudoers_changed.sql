-- id: sudoers-changed
-- title: Rules of sudo were changed
-- description: A program that is neither visudo nor a package manager wrote what sudo allows
--   whom.
-- severity: high
-- tags: attack.privilege-escalation, attack.persistence, attack.t1548.003
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/003/
-- falsepositives: configuration management, administrators who do not use visudo
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^/etc/(sudoers$|sudoers\.d/|doas\.conf$|polkit-1/rules\.d/)'
  AND coalesce(executable_path, '') !~ '/visudo$'
  AND coalesce(command_line, '') !~ '(cloud-init|/\.?ansible[-/]|puppet|chef-client|salt-minion)'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
