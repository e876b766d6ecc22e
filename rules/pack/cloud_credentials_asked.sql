-- id: cloud-credentials-asked
-- title: Credentials of the cloud's host were asked for
-- description: A command asks the address at which a cloud gives its hosts their credentials
--   for just these.
-- severity: high
-- tags: attack.credential-access, attack.t1552.005
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1552/005/
-- falsepositives: scripts that set up hosts
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND command_line ~ '(169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200|\[fd00:ec2::254\]|169\.254\.170\.2)'
  AND command_line ~ '(security-credentials|identity-credentials|/iam/|service-accounts/[^ ]*/(token|identity)|/identity/oauth2/token|/v2/credentials|user-data|ram/security)'
  AND coalesce(executable_path, '') !~ '/([efz]?grep|less|vi|vim[.a-z]*|nano|cat)$'
  AND coalesce(parent_command_line, '') !~ 'cloud-init'
