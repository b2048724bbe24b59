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
	queued_at DATETIME, 
	stop_asked_at DATETIME, 
	ended_at DATETIME, 
	placement JSON, 
	staged_at DATETIME, 
	cleared_at DATETIME, 
	lease_owner VARCHAR(64), 
	lease_epoch INTEGER NOT NULL, 
	lease_until DATETIME, 
	PRIMARY KEY (job_id, number), 
	FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE, 
	UNIQUE (token)
);
INSERT INTO "attempts" VALUES('4bpjl75i2qhd6hkgfbv3eervli',1,'cdt76e2tj5wmjjctwwdqx7i4yq','ledger',NULL,NULL,1,'RUNNING',NULL,NULL,'2026-12-01 11:26:17.248695','2026-12-01 11:26:17.302492',NULL,NULL,NULL,NULL,NULL,'85f7669322437744',1,NULL);
INSERT INTO "attempts" VALUES('zziz26squh6gnwzv25e7vco6ne',1,'kti7zay6anxwqyjlrl5pthmpku','ledger',NULL,NULL,1,'SUBMITTING',NULL,NULL,'2026-12-01 11:26:18.465444',NULL,NULL,NULL,NULL,NULL,NULL,'c8a35cd80c893e96',1,'2026-12-01 11:26:48.483950');
INSERT INTO "attempts" VALUES('heggyvqpoh4zdq7rx2r2guycje',1,'ooolppe5r46qd47eg6izfhqphi','ledger',NULL,NULL,1,'QUEUED',NULL,NULL,'2026-12-01 11:26:19.047299','2026-12-01 11:26:19.062641',NULL,NULL,NULL,NULL,NULL,'93184e8a6c167cc2',1,NULL);
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
INSERT INTO "calls" VALUES('4bpjl75i2qhd6hkgfbv3eervli',1,0,'array','ledger','SubmitJob','create','3472826c1438e78039f0d025223d12bd81edeebc9c80fed476f622fc20bb844e','{"name": "cdt76e2tj5wmjjctwwdqx7i4yq-array", "after": [], "input": "file:///media/in.mp4", "output": "file:///media/out-running.mp4", "queue": "q1", "origin": {"job_id": "4bpjl75i2qhd6hkgfbv3eervli", "kind": "transcode", "token": "cdt76e2tj5wmjjctwwdqx7i4yq", "attempt": 1, "output": "file:///media/out-running.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "running"}}}','accepted','{"jobId": "job-0"}',NULL,1,'2026-12-01 11:26:17.272358',NULL);
INSERT INTO "calls" VALUES('4bpjl75i2qhd6hkgfbv3eervli',1,1,'merge','ledger','SubmitJob','create','f23556f9370e0036bcd13dbaac694351f564770805a1782f2ea983f892a01d10','{"name": "cdt76e2tj5wmjjctwwdqx7i4yq-merge", "after": ["job-0"], "input": "file:///media/in.mp4", "output": "file:///media/out-running.mp4", "queue": "q1", "origin": {"job_id": "4bpjl75i2qhd6hkgfbv3eervli", "kind": "transcode", "token": "cdt76e2tj5wmjjctwwdqx7i4yq", "attempt": 1, "output": "file:///media/out-running.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "running"}}}','accepted','{"jobId": "job-1"}',NULL,1,'2026-12-01 11:26:17.289621',NULL);
INSERT INTO "calls" VALUES('zziz26squh6gnwzv25e7vco6ne',1,0,'array','ledger','SubmitJob','create','2aea8b8225016c4b950399aa77f48807c289198817b9c622dd2265910e89c45c','{"name": "kti7zay6anxwqyjlrl5pthmpku-array", "after": [], "input": "file:///media/in.mp4", "output": "file:///media/out-killed.mp4", "queue": "q1", "origin": {"job_id": "zziz26squh6gnwzv25e7vco6ne", "kind": "transcode", "token": "kti7zay6anxwqyjlrl5pthmpku", "attempt": 1, "output": "file:///media/out-killed.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "killed"}}}','accepted','{"jobId": "job-2"}',NULL,1,'2026-12-01 11:26:18.474483',NULL);
INSERT INTO "calls" VALUES('zziz26squh6gnwzv25e7vco6ne',1,1,'merge','ledger','SubmitJob','create','cb6acc844e3b9180ce0d0920cfab10392ccb3b35adbb7b58eb883c12a1f78c9e','{"name": "kti7zay6anxwqyjlrl5pthmpku-merge", "after": ["job-2"], "input": "file:///media/in.mp4", "output": "file:///media/out-killed.mp4", "queue": "q1", "origin": {"job_id": "zziz26squh6gnwzv25e7vco6ne", "kind": "transcode", "token": "kti7zay6anxwqyjlrl5pthmpku", "attempt": 1, "output": "file:///media/out-killed.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "killed"}}}','sent',NULL,NULL,1,'2026-12-01 11:26:18.483949',NULL);
INSERT INTO "calls" VALUES('heggyvqpoh4zdq7rx2r2guycje',1,0,'array','ledger','SubmitJob','create','b4e24ac08fa87f678eed7fc7ec272b108b5f5f3a308a6b434aa9df0da426723a','{"name": "ooolppe5r46qd47eg6izfhqphi-array", "after": [], "input": "file:///media/in.mp4", "output": "file:///media/out-waiting.mp4", "queue": "q1", "origin": {"job_id": "heggyvqpoh4zdq7rx2r2guycje", "kind": "transcode", "token": "ooolppe5r46qd47eg6izfhqphi", "attempt": 1, "output": "file:///media/out-waiting.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "waiting"}}}','accepted','{"jobId": "job-4"}',NULL,1,'2026-12-01 11:26:19.053654',NULL);
INSERT INTO "calls" VALUES('heggyvqpoh4zdq7rx2r2guycje',1,1,'merge','ledger','SubmitJob','create','b8ba83f944309205a811928e44db03178957d77e60c246032c1f04a822c857af','{"name": "ooolppe5r46qd47eg6izfhqphi-merge", "after": ["job-4"], "input": "file:///media/in.mp4", "output": "file:///media/out-waiting.mp4", "queue": "q1", "origin": {"job_id": "heggyvqpoh4zdq7rx2r2guycje", "kind": "transcode", "token": "ooolppe5r46qd47eg6izfhqphi", "attempt": 1, "output": "file:///media/out-waiting.mp4", "deliver_to": null, "overwrite": false, "user_data": {"asset": "waiting"}}}','accepted','{"jobId": "job-5"}',NULL,1,'2026-12-01 11:26:19.058846',NULL);
CREATE TABLE consumers (
	name VARCHAR(128) NOT NULL, 
	registered_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE deliveries (
	consumer VARCHAR(128) NOT NULL, 
	event_id VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	failures INTEGER NOT NULL, 
	due_at DATETIME, 
	lease_owner VARCHAR(64), 
	lease_until DATETIME, 
	PRIMARY KEY (consumer, event_id), 
	FOREIGN KEY(consumer) REFERENCES consumers (name) ON DELETE CASCADE, 
	FOREIGN KEY(event_id) REFERENCES outbox (id) ON DELETE CASCADE
);
CREATE TABLE inbox (
	id VARCHAR(64) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	native_id VARCHAR NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	observation JSON, 
	received_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(job_id, attempt) REFERENCES attempts (job_id, number) ON DELETE CASCADE
);
INSERT INTO "inbox" VALUES('675d13171da0c84f85767d9898f4b2e8ca56f5190ea644e6985533d50ce14c4f','4bpjl75i2qhd6hkgfbv3eervli',1,'job-0','applied','{"native_id": "job-0", "state": "RUNNING", "phase": "working", "vendor_attempt": 0, "sub_rank": 0, "progress": null, "frames": null, "error": null, "result": null, "not_found": false, "token": null, "origin": null, "raw": {"id": "job-0", "word": "working"}}','2026-12-01 11:26:17.328869');
CREATE TABLE jobs (
	id VARCHAR(64) NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	spec JSON, 
	options JSON, 
	output VARCHAR, 
	idempotency_key VARCHAR(512), 
	fingerprint VARCHAR(80), 
	state VARCHAR(16) NOT NULL, 
	phase VARCHAR, 
	hold_reason VARCHAR, 
	progress FLOAT, 
	progress_at DATETIME, 
	frames JSON, 
	transfer JSON, 
	route JSON, 
	cancel_requested_at DATETIME, 
	deadline_at DATETIME, 
	queue_timeout_s FLOAT, 
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
INSERT INTO "jobs" VALUES('4bpjl75i2qhd6hkgfbv3eervli','transcode','{"kind": "transcode", "input": "file:///media/in.mp4", "output": "file:///media/out-running.mp4", "overwrite": false, "debug": false, "labels": {}, "user_data": {"asset": "running"}, "container": "mp4", "renditions": [], "segment_s": 6.0, "encoder": {"codec": "auto", "crf": null, "bitrate_bps": null, "preset": "veryfast"}}','[]','file:///media/out-running.mp4','order-running','1:cffd431e020bd2f9d17ee9eac34507b2f9263ddd93389ffd57e93b664ccc3f46','RUNNING','working',NULL,NULL,'2026-12-01 11:26:17.332159',NULL,NULL,'{"providers": ["ledger"], "max_attempts": 1}',NULL,NULL,NULL,0,NULL,NULL,'{"asset": "running"}',2,'2026-12-01 11:26:17.245633',NULL);
INSERT INTO "jobs" VALUES('zziz26squh6gnwzv25e7vco6ne','transcode','{"kind": "transcode", "input": "file:///media/in.mp4", "output": "file:///media/out-killed.mp4", "overwrite": false, "debug": false, "labels": {}, "user_data": {"asset": "killed"}, "container": "mp4", "renditions": [], "segment_s": 6.0, "encoder": {"codec": "auto", "crf": null, "bitrate_bps": null, "preset": "veryfast"}}','[]','file:///media/out-killed.mp4','order-killed','1:4ab8a1bc43d99828ab59d7960b76c3fae9c08bcf9565a050a713aa7a3c84210b','SUBMITTING',NULL,NULL,NULL,NULL,NULL,NULL,'{"providers": ["ledger"], "max_attempts": 1}',NULL,NULL,NULL,0,NULL,NULL,'{"asset": "killed"}',0,'2026-12-01 11:26:18.462692',NULL);
INSERT INTO "jobs" VALUES('heggyvqpoh4zdq7rx2r2guycje','transcode','{"kind": "transcode", "input": "file:///media/in.mp4", "output": "file:///media/out-waiting.mp4", "overwrite": false, "debug": false, "labels": {}, "user_data": {"asset": "waiting"}, "container": "mp4", "renditions": [], "segment_s": 6.0, "encoder": {"codec": "auto", "crf": null, "bitrate_bps": null, "preset": "veryfast"}}','[]','file:///media/out-waiting.mp4','order-waiting','1:cb891c62e33535a34e93b9511805791f51620653c50c9ff6eb38498c56d5bfe2','QUEUED',NULL,NULL,NULL,NULL,NULL,NULL,'{"providers": ["ledger"], "max_attempts": 1}',NULL,NULL,NULL,0,NULL,NULL,'{"asset": "waiting"}',1,'2026-12-01 11:26:19.044187',NULL);
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
	native_id VARCHAR NOT NULL, 
	required BOOLEAN NOT NULL, 
	output VARCHAR, 
	state VARCHAR(16) NOT NULL, 
	vendor_attempt INTEGER NOT NULL, 
	rank INTEGER NOT NULL, 
	sub_rank INTEGER NOT NULL, 
	phase VARCHAR, 
	progress FLOAT, 
	frames JSON, 
	error JSON, 
	result JSON, 
	raw JSON, 
	not_found_at DATETIME, 
	PRIMARY KEY (job_id, attempt, position), 
	FOREIGN KEY(job_id, attempt) REFERENCES attempts (job_id, number) ON DELETE CASCADE
);
INSERT INTO "members" VALUES('4bpjl75i2qhd6hkgfbv3eervli',1,0,'array','job-0',1,'file:///media/out-running.mp4','RUNNING',0,2,0,'working',NULL,NULL,NULL,NULL,'{"id": "job-0", "word": "working"}',NULL);
INSERT INTO "members" VALUES('4bpjl75i2qhd6hkgfbv3eervli',1,1,'merge','job-1',1,'file:///media/out-running.mp4','QUEUED',0,1,0,'waiting',NULL,NULL,NULL,NULL,'{"id": "job-1", "word": "waiting"}',NULL);
INSERT INTO "members" VALUES('heggyvqpoh4zdq7rx2r2guycje',1,0,'array','job-4',1,'file:///media/out-waiting.mp4','QUEUED',0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "members" VALUES('heggyvqpoh4zdq7rx2r2guycje',1,1,'merge','job-5',1,'file:///media/out-waiting.mp4','QUEUED',0,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "outbox" VALUES('1dc0df8fc912cba0a3f1608f','4bpjl75i2qhd6hkgfbv3eervli',1,'{"id": "1dc0df8fc912cba0a3f1608f", "ref": {"job_id": "4bpjl75i2qhd6hkgfbv3eervli", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "array", "native_id": "job-0"}, {"role": "merge", "native_id": "job-1"}]}, "sequence": 1, "occurred_at": "2026-12-01T11:26:17.311302Z", "provider": "ledger", "attempt": 1, "user_data": {"asset": "running"}, "raw": null, "type": "job_queued"}','2026-12-01 11:26:17.311302');
INSERT INTO "outbox" VALUES('a1b9f4d286b48aa5c1173b88','4bpjl75i2qhd6hkgfbv3eervli',2,'{"id": "a1b9f4d286b48aa5c1173b88", "ref": {"job_id": "4bpjl75i2qhd6hkgfbv3eervli", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "array", "native_id": "job-0"}, {"role": "merge", "native_id": "job-1"}]}, "sequence": 2, "occurred_at": "2026-12-01T11:26:17.331966Z", "provider": "ledger", "attempt": 1, "user_data": {"asset": "running"}, "raw": null, "type": "job_started"}','2026-12-01 11:26:17.331966');
INSERT INTO "outbox" VALUES('7dd3d2df01160d4bcbb978db','heggyvqpoh4zdq7rx2r2guycje',1,'{"id": "7dd3d2df01160d4bcbb978db", "ref": {"job_id": "heggyvqpoh4zdq7rx2r2guycje", "provider": "ledger", "kind": "transcode", "account": null, "region": null, "members": [{"role": "array", "native_id": "job-4"}, {"role": "merge", "native_id": "job-5"}]}, "sequence": 1, "occurred_at": "2026-12-01T11:26:19.064496Z", "provider": "ledger", "attempt": 1, "user_data": {"asset": "waiting"}, "raw": null, "type": "job_queued"}','2026-12-01 11:26:19.064496');
CREATE TABLE quarantine (
	id VARCHAR(64) NOT NULL, 
	source VARCHAR NOT NULL, 
	message_id VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	body BLOB NOT NULL, 
	attributes JSON, 
	received INTEGER NOT NULL, 
	first_at DATETIME NOT NULL, 
	last_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE schema_info (
	version INTEGER NOT NULL
);
INSERT INTO "schema_info" VALUES(4);
CREATE INDEX ix_jobs_created_at ON jobs (created_at);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_quarantine_last_at ON quarantine (last_at);
CREATE INDEX labels_by_value ON labels (name, value);
CREATE INDEX ix_attempts_provider ON attempts (provider);
CREATE INDEX ix_attempts_state ON attempts (state);
CREATE INDEX ix_members_native_id ON members (native_id);
CREATE INDEX ix_deliveries_job_id ON deliveries (job_id);
CREATE INDEX deliveries_in_order ON deliveries (consumer, created_at);
CREATE INDEX deliveries_of_job ON deliveries (consumer, job_id, sequence);
COMMIT;
