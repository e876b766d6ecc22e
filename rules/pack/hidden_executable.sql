-- id: hidden-executable
-- title: Program runs from a hidden place among the system's
-- description: The executable, or a directory above it, has a name that begins with a dot, in a
--   directory where no package puts such names.
-- severity: high
-- tags: attack.stealth, attack.t1564.001
-- dedup: executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1564/001/
-- falsepositives: tools that unpack themselves into a hidden directory
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path LIKE '%/.%'
  AND executable_path ~ '^/(usr/(bin|sbin|lib|lib64|share|libexec)|bin|sbin|etc|dev|boot|tmp|var/(tmp|lib|run|spool|log|cache|www)|lib|run)/([^/]+/)*\.[^/]+'
  AND executable_path !~ '/\.(mount_[^/]+|cargo|rustup|venv|local|cache|npm|nvm|pyenv|rbenv|bin|build|tox|nox|git|gradle|m2|dotnet|vscode-server|cursor-server|go|deps|libs)/'
  AND container_id IS NULL
