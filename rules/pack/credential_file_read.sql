-- id: credential-file-read
-- title: Password hashes are read
-- description: A program that shows, copies or packs files was given /etc/shadow, its
--   sibling or a backup of them, or a tool that prepares such files for cracking ran.
-- severity: high
-- tags: attack.credential-access, attack.t1003.008
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1003/008/
-- falsepositives: an administrator who looks at the file, backup scripts
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23

-- Debian copies the files to /var/backups each day; package scripts edit them.
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/(cat|tac|less|more|head|tail|[efz]?grep|[gm]?awk|sed|cut|cp|mv|dd|base64|base32|xxd|od|hexdump|strings|nl|tar|zip|gzip|xz|scp|rsync|curl|nc[.a-z]*|vi|vim[.a-z]*|nano|python[0-9.]*|perl|coreutils|busybox)$'
      AND command_line ~ '([ =@:"''(])/(etc|var/backups)/g?shadow(-|\.bak|\.org)?([ "'';,)]|$)'
      AND command_line !~ ' /var/backups/?( |$)'
      AND command_line !~ '^cp -p /etc/g?shadow (/var/backups/)?g?shadow\.bak$')
    OR executable_path ~ '/(unshadow|mimipenguin[^/]*)$'
    OR command_line ~ '(^|[ /])unshadow +[^ ]*passwd'
  )
