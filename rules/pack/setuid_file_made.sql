-- id: setuid-file-made
-- title: File among the system's got the setuid bit
-- description: The permissions of a watched file were changed so that whoever starts it becomes
--   its owner, by whatever program.
-- severity: medium
-- tags: attack.privilege-escalation, attack.persistence, attack.t1548.001
-- dedup: user_id, path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/001/
-- falsepositives: software that is installed from source
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path, mode
FROM file_events
WHERE error IS NULL
  AND event = 'chmod'
  AND mode ~ '^0*[4567][0-7][0-7][0-7]$'
  AND coalesce(file_type, 'regular') = 'regular'
  AND container_id IS NULL
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
