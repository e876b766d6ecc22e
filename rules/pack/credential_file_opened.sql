-- id: credential-file-opened
-- title: Password hashes or host keys were opened by an unusual program
-- description: A script, or a program that is not where the system's programs are, opened
--   /etc/shadow, a copy of it, a Kerberos keytab or a private key of the SSH server.
-- severity: high
-- tags: attack.credential-access, attack.t1003.008, attack.t1552.004
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1003/008/, https://attack.mitre.org/techniques/T1552/004/
-- falsepositives: backup software in /opt, scripts that manage users
-- author: DaemonEye
-- version: 2
-- date: 2026-11-30

-- Ansible's module for users reads /etc/shadow, and so does Perl when root asks for a user,
-- as Debian's adduser and dpkg-preconfigure do. In a container programs may lie anywhere.
SELECT time, entity_id, pid, user_name, executable_path, command_line, path, parent_command_line
FROM file_events
WHERE event = 'read' AND error IS NULL
  AND container_id IS NULL
  AND path ~ '^/etc/(g?shadow-?|krb5\.keytab|ssh/ssh_host_[a-z0-9]+_key)$'
  AND (
    executable_path !~ '^/(usr/)?(local/)?(s?bin|lib|lib64|libexec)/'
    OR executable_path ~ '/(python[0-9.]*|perl[0-9.]*|ruby[0-9.]*|php[0-9.]*|node|lua[0-9.]*|gdb|busybox)$'
      AND coalesce(command_line, '') !~ '/\.?ansible[-/]'
      AND coalesce(command_line, '') !~ '^([^ ]*/)?perl( -[a-zA-Z]+)* /usr/(s?bin|share/debconf)/[a-z0-9_.-]+( |$)'
  )
