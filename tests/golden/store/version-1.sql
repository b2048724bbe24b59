-- A store as the release with schema 1 wrote it: one job that failed, one that lives. Dumped with sqlite3's iterdump.
BEGIN TRANSACTION;
CREATE TABLE attempts (
	job_id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	token VARCHAR(64) NOT NULL, 
	provider VARCHAR(128) NOT NULL, 
	account VARCHAR(128), 
	region VARCHAR(64), 
	flow_version INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	error JSON, 
	result JSON, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	lease_owner VARCHAR(64), 
	lease_epoch INTEGER NOT NULL, 
	lease_until DATETIME, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE, 
	UNIQUE (token)
);
INSERT INTO "attempts" VALUES('lmoojemwvebxc7uh6q75rtj63e',1,'tsc6o7qdfyytqjlxm65amzstji','ledger',NULL,NULL,1,'FAILED','{"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": true, "message": "it broke", "provider_code": null, "request_id": null, "raw": {"id": "job-0", "word": "broken"}}',NULL,'2026-11-21 04:08:23.876244','2026-11-21 04:08:23.941398','08cf19c1342f9e4b',1,NULL);
INSERT INTO "attempts" VALUES('2q2ac4yvqxr7f6yqkn35f2a62e',1,'wpgibfw3cuuqriv2idy5olccoe','ledger',NULL,NULL,1,'QUEUED',NULL,NULL,'2026-11-21 04:08:23.949123',NULL,'08cf19c1342f9e4b',1,NULL);
CREATE TABLE calls (
	job_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	service VARCHAR(64) NOT NULL, 
	operation VARCHAR(128) NOT NULL, 
	effect VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	params JSON, 
	status VARCHAR(16) NOT NULL, 
	reply JSON, 
	error JSON, 
	sends INTEGER NOT NULL, 
	sent_at DATETIME, 
	searched_at DATETIME, 
	PRIMARY KEY (job_id, attempt, ordinal), 
	FOREIGN KEY(job_id, attempt) REFERENCES attempts (job_id, number) ON DELETE CASCADE
);
INSERT INTO "calls" VALUES('lmoojemwvebxc7uh6q75rtj63e',1,0,'only','ledger','SubmitJob','create','7bfdc88da4a5e2601ca25ba2d99afc9d3a5cfa1bfa2c4fea13ea158a681aa600','{"name": "tsc6o7qdfyytqjlxm65amzstji-only", "after": [], "output": "file:///out.mp4", "queue": "q1"}','accepted','{"jobId": "job-0"}',NULL,1,'2026-11-21 04:08:23.898339',NULL);
INSERT INTO "calls" VALUES('2q2ac4yvqxr7f6yqkn35f2a62e',1,0,'only','ledger','SubmitJob','create','08d4b0fc3d678507bab3d47a25d0e50b70d1eb1048513e377f0e00c2b97881a2','{"name": "wpgibfw3cuuqriv2idy5olccoe-only", "after": [], "output": "file:///out2.mp4", "queue": "q1"}','accepted','{"jobId": "job-1"}',NULL,1,'2026-11-21 04:08:23.956722',NULL);
CREATE TABLE inbox (
	id VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	native_id VARCHAR(512) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	observation JSON, 
	received_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id, attempt) REFERENCES attempts (job_id, number) ON DELETE CASCADE
);
INSERT INTO "inbox" VALUES('64bc10c8eda2be6f3f327e953530575e8259fe81073f145a756f7d040f064000','lmoojemwvebxc7uh6q75rtj63e',1,'job-0','applied','{"native_id": "job-0", "state": "FAILED", "phase": "broken", "vendor_attempt": 0, "sub_rank": 0, "progress": null, "frames": null, "error": {"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": true, "message": "it broke", "provider_code": null, "request_id": null, "raw": {"id": "job-0", "word": "broken"}}, "result": null, "not_found": false, "token": null, "raw": {"id": "job-0", "word": "broken"}}','2026-11-21 04:08:23.933314');
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	spec JSON, 
	options JSON, 
	output VARCHAR, 
	idempotency_key VARCHAR(512), 
	fingerprint VARCHAR(80), 
	state VARCHAR(16) NOT NULL, 
	phase VARCHAR(256), 
	hold_reason VARCHAR, 
	progress FLOAT, 
	progress_at DATETIME, 
	frames JSON, 
	cancel_requested_at DATETIME, 
	inferred BOOLEAN NOT NULL, 
	error JSON, 
	result JSON, 
	user_data JSON, 
	sequence INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (idempotency_key)
);
INSERT INTO "jobs" VALUES('lmoojemwvebxc7uh6q75rtj63e','transcode','{"kind": "transcode", "input": "file:///in.mp4", "output": "file:///out.mp4", "overwrite": false, "debug": false, "labels": {}, "user_data": {"asset": 42}, "container": "mp4", "renditions": [], "segment_s": 6.0, "encoder": {"codec": "auto", "crf": null, "bitrate_bps": null, "preset": "veryfast"}}','[]','file:///out.mp4','old','1:edbb0fc7ae40eb6857b0665a506f7286e7d5a2dc0feb373636dc094a724c0bdc','FAILED',NULL,NULL,NULL,NULL,NULL,NULL,0,'{"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": true, "message": "it broke", "provider_code": null, "request_id": null, "raw": {"id": "job-0", "word": "broken"}}',NULL,'{"asset": 42}',2,'2026-11-21 04:08:23.876244','2026-11-21 04:08:23.941398');
INSERT INTO "jobs" VALUES('2q2ac4yvqxr7f6yqkn35f2a62e','transcode','{"kind": "transcode", "input": "file:///in.mp4", "output": "file:///out2.mp4", "overwrite": false, "debug": false, "labels": {}, "user_data": null, "container": "mp4", "renditions": [], "segment_s": 6.0, "encoder": {"codec": "auto", "crf": null, "bitrate_bps": null, "preset": "veryfast"}}','[]','file:///out2.mp4',NULL,'1:b7cfa3741d02ee7ed85af6c300f89b283936a9e5e62a5787944a978219783ba3','QUEUED',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,1,'2026-11-21 04:08:23.949123',NULL);
CREATE TABLE labels (
	job_id VARCHAR(64) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	value VARCHAR(512) NOT NULL, 
	PRIMARY KEY (job_id, name), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE members (
	job_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	role VARCHAR(128) NOT NULL, 
	native_id VARCHAR(512) NOT NULL, 
	required BOOLEAN NOT NULL, 
	output VARCHAR, 
	state VARCHAR(16) NOT NULL, 
	vendor_attempt INTEGER NOT NULL, 
	rank INTEGER NOT NULL, 
	sub_rank INTEGER NOT NULL, 
	phase VARCHAR(256), 
	progress FLOAT, 
	frames JSON, 
	error JSON, 
	result JSON, 
	raw JSON, 
	not_found_at DATETIME, 
	PRIMARY KEY (job_id, attempt, position), 
	FOREIGN KEY(job_id, attempt) REFERENCES attempts (job_id, number) ON DELETE CASCADE
);
INSERT INTO "members" VALUES('lmoojemwvebxc7uh6q75rtj63e',1,0,'only','job-0',1,'file:///out.mp4','FAILED',0,3,0,'broken',NULL,NULL,'{"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": true, "message": "it broke", "provider_code": null, "request_id": null, "raw": {"id": "job-0", "word": "broken"}}',NULL,'{"id": "job-0", "word": "broken"}',NULL);
INSERT INTO "members" VALUES('2q2ac4yvqxr7f6yqkn35f2a62e',1,0,'only','job-1',1,'file:///out2.mp4','QUEUED',0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE outbox (
	id VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	payload JSON, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (job_id, sequence), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "outbox" VALUES('b22876403af313697d5d66c0','lmoojemwvebxc7uh6q75rtj63e',1,'{"id": "b22876403af313697d5d66c0", "ref": {"job_id": "lmoojemwvebxc7uh6q75rtj63e", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "only", "native_id": "job-0"}]}, "sequence": 1, "occurred_at": "2026-11-21T04:08:23.923959Z", "provider": "ledger", "attempt": 1, "user_data": {"asset": 42}, "raw": null, "type": "job_queued"}','2026-11-21 04:08:23.923959');
INSERT INTO "outbox" VALUES('ce72c1cd5d1afc663e54a91f','lmoojemwvebxc7uh6q75rtj63e',2,'{"id": "ce72c1cd5d1afc663e54a91f", "ref": {"job_id": "lmoojemwvebxc7uh6q75rtj63e", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "only", "native_id": "job-0"}]}, "sequence": 2, "occurred_at": "2026-11-21T04:08:23.944021Z", "provider": "ledger", "attempt": 1, "user_data": {"asset": 42}, "raw": null, "type": "job_failed", "error": {"code": "PROVIDER_INTERNAL", "blame": "provider", "retryable": true, "message": "it broke", "provider_code": null, "request_id": null, "raw": {"id": "job-0", "word": "broken"}}, "result": null, "inferred": false, "corrects": null}','2026-11-21 04:08:23.944021');
INSERT INTO "outbox" VALUES('d8ba7b4b2a528b664902a632','2q2ac4yvqxr7f6yqkn35f2a62e',1,'{"id": "d8ba7b4b2a528b664902a632", "ref": {"job_id": "2q2ac4yvqxr7f6yqkn35f2a62e", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "only", "native_id": "job-1"}]}, "sequence": 1, "occurred_at": "2026-11-21T04:08:23.981994Z", "provider": "ledger", "attempt": 1, "user_data": null, "raw": null, "type": "job_queued"}','2026-11-21 04:08:23.981994');
CREATE TABLE schema_info (
	version INTEGER NOT NULL
);
INSERT INTO "schema_info" VALUES(1);
CREATE INDEX ix_jobs_created_at ON jobs (created_at);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX labels_by_value ON labels (name, value);
CREATE INDEX ix_attempts_provider ON attempts (provider);
CREATE INDEX ix_attempts_state ON attempts (state);
CREATE INDEX ix_members_native_id ON members (native_id);
COMMIT;
