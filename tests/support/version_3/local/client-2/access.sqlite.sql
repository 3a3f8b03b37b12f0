BEGIN TRANSACTION;
CREATE TABLE accounts (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL, role TEXT NOT NULL, created_at REAL NOT NULL,
        built_in TEXT, revoked_at REAL, token_hash TEXT, password_hash TEXT);
INSERT INTO "accounts" VALUES('clinician','Clinician','clinician','clinician',1795993906.1228,'CLIENT_2_CLINICIAN_TOKEN',NULL,'1d46e473fe3e8f627621c9baef787c273af7b303e8b3a5911cc8fe919b238355',NULL);
CREATE TABLE app (url TEXT NOT NULL);
INSERT INTO "app" VALUES('http://127.0.0.1:21502');
CREATE TABLE sessions (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id), began_at REAL NOT NULL,
        ends_at REAL NOT NULL, last_active_at REAL NOT NULL, address TEXT NOT NULL);
INSERT INTO "sessions" VALUES('a4f9e82db71a39bfeea3e4c32c54b928636b36ae8ee9739eab4896dd25a8a60d','clinician',1795993922.72759,1796037122.72759,1795993926.53059,'127.0.0.1');
INSERT INTO "sessions" VALUES('70c7316609b1bc5c732eb21e3585f7954698d2c40a03666fdf75af1c5b1cc00f','clinician',1795993934.22974,1796037134.22974,1.7959939342420020103e+09,'127.0.0.1');
CREATE UNIQUE INDEX name_in_use ON accounts (name_key) WHERE revoked_at IS NULL;
COMMIT;
PRAGMA user_version = 1;
