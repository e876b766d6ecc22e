-- id: account-file-changed
-- title: Accounts were changed without the tools for it
-- description: A program that does not manage users wrote /etc/passwd, /etc/shadow or
--   /etc/group.
-- severity: high
-- tags: attack.persistence, attack.privilege-escalation, attack.t1136.001, attack.t1098
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1136/001/,
--   https://attack.mitre.org/techniques/T1098/
-- falsepositives: administrators who edit the files, tools that make images
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^/etc/(passwd|shadow|group|gshadow)$'
  AND container_id IS NULL
  AND coalesce(executable_path, '') !~ '/(useradd|userdel|usermod|groupadd|groupdel|groupmod|gpasswd|passwd|chpasswd|chgpasswd|chsh|chfn|chage|newusers|vipw|vigr|pwconv|pwunconv|grpconv|grpunconv|shadowconfig|systemd-sysusers|systemd-homed|accounts-daemon|update-passwd|lusermod|luseradd)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
