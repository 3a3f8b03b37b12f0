@echo off
rem Start the system, in Docker if there is an engine, else (or with --local) in a virtual environment.
cd /d "%~dp0"
for %%P in ("py -3.13" "py -3.12" "py -3.11" "python") do (
  %%~P -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" >nul 2>nul && (
    %%~P launcher.py start %*
    exit /b
  )
)
echo Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/
echo With Docker it goes without: docker compose up --build, and the links to sign in stand in what it prints.
exit /b 1
