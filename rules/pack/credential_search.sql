-- id: credential-search
-- title: Files were searched for passwords and keys
-- description: A command goes through the system's or the users' directories for words or files
--   that hold credentials.
-- severity: medium
-- tags: attack.credential-access, attack.t1552.001, attack.t1552.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1552/001/,
--   https://attack.mitre.org/techniques/T1552/004/
-- falsepositives: administrators who clean up, audits
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (executable_path ~ '/([efz]?grep|rg|ag|busybox)$'
      AND (command_line ~ ' (-[A-Za-z]*[rR][A-Za-z]*|--recursive)( |$)' OR executable_path ~ '/(rg|ag)$')
      AND command_line ~* '(passw|pwd|secret|api[_-]?key|token|private key|aws_access|credential)'
      AND command_line ~ ' /(etc|home|root|var|opt|srv|mnt|proc)?(/[^ ]*)?( |$)')
    OR (executable_path ~ '/(find|fd|locate|plocate|busybox)$'
      AND command_line ~ '(id_(rsa|dsa|ecdsa|ed25519)|\.pem|\.kdbx|\.ovpn|\.p12|\.pfx|wallet\.dat|\.htpasswd|authorized_keys|shadow\.bak|\.aws|\.git-credentials|\*passw|\*secret|\*credential)'
      AND (command_line ~ '^[^ ]+ (-[A-Z] )?/(home|root|etc|var|opt|srv)?(/[^ ]*)?( |$)' OR executable_path ~ 'locate$'))
  )
