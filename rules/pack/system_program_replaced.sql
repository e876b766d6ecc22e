-- id: system-program-replaced
-- title: Program of the system was written without the package manager
-- description: A file among the system's own programs was made or overwritten by something that
--   is no package manager.
-- severity: medium
-- tags: attack.persistence, attack.stealth, attack.t1554, attack.t1036.005
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1554/,
--   https://attack.mitre.org/techniques/T1036/005/
-- falsepositives: software that installs itself into /usr/bin, configuration management
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'rename', 'link', 'truncate')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^(/usr)?/s?bin/[^/]+$'
  AND container_id IS NULL
  AND coalesce(executable_path, '') !~ '/(update-alternatives|alternatives|ldconfig|etckeeper|needrestart)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
