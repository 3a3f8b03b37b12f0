@echo off
rem Start the system, in Docker if there is an engine, else (or with --local) in a virtual environment.
setlocal
cd /d "%~dp0"
set "FITS=import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
set "PYTHON=py -3.13"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=py -3.12"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=py -3.11"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
set "PYTHON=python"
call %PYTHON% -c "%FITS%" >nul 2>nul
if not errorlevel 1 goto found
echo Python 3.11, 3.12 or 3.13 is needed and was not found: https://www.python.org/downloads/
echo With Docker you need no Python: run docker compose up --build and open the sign-in links in its output.
exit /b 1

:found
%PYTHON% launcher.py start %*
exit /b %errorlevel%
