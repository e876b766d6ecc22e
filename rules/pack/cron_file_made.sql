-- id: cron-file-made
-- title: File was put into a directory of cron
-- description: A program that is no package manager made a file where cron looks for
--   what it runs, as root, or moved or linked one there.
-- severity: medium
-- tags: attack.persistence, attack.privilege-escalation, attack.execution, attack.t1053.003
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1053/003/
-- falsepositives: configuration management, administrators who edit such a file with an
--   editor that writes it anew
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30

-- crontab(1) edits the tables of users; scripts of packages run below the package manager.
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('create', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^(/etc/cron\.(d|hourly|daily|weekly|monthly)|/etc/crontab$|/var/spool/(cron|at))(/|$)'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd|crontab|at|atd|cron|crond)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
