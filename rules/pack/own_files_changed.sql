-- id: own-files-changed
-- title: Program, configuration or rules of DaemonEye were changed
-- description: Something other than a package manager changed, replaced or deleted the
--   program of DaemonEye, its configuration, its rules, or what starts it, or tried and
--   was not permitted.
-- severity: high
-- tags: attack.defense-impairment, attack.t1685
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/
-- falsepositives: an operator who edits rules or the configuration, or installs another
--   version by hand; configuration management
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30

-- Files elsewhere (--data-dir, rules.dirs) take a rule of your own, and collector.files.paths.
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path, error
FROM file_events
WHERE event <> 'read'
  AND concat_ws(E'\n', path, target_path) ~ '(^|\n)(/etc/daemoneye(/|$|\n)|/usr/(local/)?s?bin/(daemoneye(-agent|-cli)?|procmond)($|\n)|(/etc|/run|/lib|/usr/lib)/systemd/system/daemoneye\.service(\.d)?(/|$|\n))'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
