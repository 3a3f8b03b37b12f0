BEGIN TRANSACTION;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE change_counter (
	id INTEGER NOT NULL, 
	value INTEGER NOT NULL, 
	CONSTRAINT pk_change_counter PRIMARY KEY (id)
);
INSERT INTO "change_counter" VALUES(1,2);
CREATE TABLE changes (
	sequence INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	prediction_id VARCHAR(64) NOT NULL, 
	client_id VARCHAR(64) NOT NULL, 
	at VARCHAR(40) NOT NULL, 
	explanation TEXT, 
	CONSTRAINT pk_changes PRIMARY KEY (sequence), 
	CONSTRAINT fk_changes_prediction_id FOREIGN KEY(prediction_id) REFERENCES predictions (prediction_id)
);
INSERT INTO "changes" VALUES(1,'prediction_made','01a22994-69de-76c4-a50a-9d721c56a897','Client-1','2026-11-29T23:12:02.015151+00:00',NULL);
INSERT INTO "changes" VALUES(2,'explanation_finished','01a22994-69de-76c4-a50a-9d721c56a897','Client-1','2026-11-29T23:12:02.064531+00:00','{"text":"The risk level is Medium, with an anomaly score of 0.886 against a threshold of 0.8. The Age (63 years) raises the score. The ST depression (2.3 mm) raises the score. The Slope of the ST segment (down) raises the score.","source":"llm","model":"a/model","reason":null,"prompt_version":"3","first_sentence_ms":36.6,"total_ms":43.5,"measures":{"rank_agreement":1.0,"sign_agreement":1.0,"value_agreement":1.0,"completeness":1.0,"conciseness":1.0}}');
CREATE TABLE counts (
	client_id VARCHAR(64) NOT NULL, 
	risk_level VARCHAR(16) NOT NULL, 
	predictions INTEGER NOT NULL, 
	CONSTRAINT pk_counts PRIMARY KEY (client_id, risk_level)
);
INSERT INTO "counts" VALUES('Client-1','Medium',1);
CREATE TABLE predictions (
	prediction_id VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	client_id VARCHAR(64) NOT NULL, 
	request_id VARCHAR(64) NOT NULL, 
	request_digest VARCHAR(64) NOT NULL, 
	risk_level VARCHAR(16) NOT NULL, 
	anomaly_score FLOAT NOT NULL, 
	awaits_explanation BOOLEAN NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_predictions PRIMARY KEY (prediction_id), 
	CONSTRAINT uq_predictions_sequence UNIQUE (sequence), 
	CONSTRAINT uq_predictions_client_id_request_id UNIQUE (client_id, request_id)
);
INSERT INTO "predictions" VALUES('01a22994-69de-76c4-a50a-9d721c56a897',1,'Client-1','made-1','ecd20a24db003f81596532f7262a04be2931c9e495121f2f3bd4b0b9eac8a4f8','Medium',8.8648820231879754683e-01,1,'{"prediction_id":"01a22994-69de-76c4-a50a-9d721c56a897","request_id":"made-1","client_id":"Client-1","outbox_number":2,"patient_reference":"INVENTED-01","record":{"age":63,"sex":1,"chest_pain_type":1,"resting_bp":145.0,"cholesterol":233.0,"fasting_blood_sugar_high":1,"resting_ecg":2,"max_heart_rate":150.0,"exercise_angina":0,"st_depression":2.3,"st_slope":3,"major_vessels":0,"thallium_scan":6},"entered_at":"2026-11-29T23:12:01.952548Z","made_at":"2026-11-29T23:12:02.015151Z","risk_level":"Medium","anomaly_score":0.8864882023187975,"raw_score":0.5800725454291731,"is_anomaly":false,"thresholds":{"medium":0.8,"high":0.95},"base_value":-1.0871111866562782,"contributions":[{"field":"age","value":63.0,"typical":52.0,"contribution":0.08442132620390953,"imputed":false,"extrapolated":false},{"field":"sex","value":1.0,"typical":1.0,"contribution":0.0,"imputed":false,"extrapolated":false},{"field":"chest_pain_type","value":1.0,"typical":3.0,"contribution":-0.023646773628228968,"imputed":false,"extrapolated":false},{"field":"resting_bp","value":145.0,"typical":130.0,"contribution":0.02021245872966954,"imputed":false,"extrapolated":false},{"field":"cholesterol","value":233.0,"typical":234.5,"contribution":0.0,"imputed":false,"extrapolated":false},{"field":"fasting_blood_sugar_high","value":1.0,"typical":0.0,"contribution":0.02694994497289272,"imputed":false,"extrapolated":false},{"field":"resting_ecg","value":2.0,"typical":0.0,"contribution":0.02694994497289272,"imputed":false,"extrapolated":false},{"field":"max_heart_rate","value":150.0,"typical":161.0,"contribution":0.0,"imputed":false,"extrapolated":false},{"field":"exercise_angina","value":0.0,"typical":0.0,"contribution":-0.020685282262509895,"imputed":false,"extrapolated":false},{"field":"st_depression","value":2.3,"typical":0.2,"contribution":0.07446534179556435,"imputed":false,"extrapolated":false},{"field":"st_slope","value":3.0,"typical":1.0,"contribution":0.07091937313863272,"imputed":false,"extrapolated":false},{"field":"major_vessels","value":0.0,"typical":0.0,"contribution":-0.02395182248929195,"imputed":false,"extrapolated":false},{"field":"thallium_scan","value":6.0,"typical":3.0,"contribution":0.0657819191722258,"imputed":false,"extrapolated":false}],"top_factors":["age","st_depression","st_slope","thallium_scan","fasting_blood_sugar_high"],"imputed":[],"extrapolated":[],"explanation":{"text":"Risk level Medium: the anomaly score is 0.886, between the Medium threshold of 0.8 and the High threshold of 0.95. This record is more unusual than 88 % of disease-free patients. The score is raised most by age (63 years), ST depression (2.3 mm) and slope of the ST segment (down).","source":"template","model":null,"reason":null,"prompt_version":null,"first_sentence_ms":null,"total_ms":null,"measures":null},"awaits_explanation":true,"model_version":"20261129T230139Z-bba572ff187a","timings_ms":{"waiting":1.618,"scoring":1.687,"explaining":0.178}}');
CREATE INDEX ix_predictions_client_id_sequence ON predictions (client_id, sequence);
CREATE INDEX ix_predictions_risk_level_sequence ON predictions (risk_level, sequence);
CREATE INDEX ix_changes_client_id_sequence ON changes (client_id, sequence);
CREATE INDEX ix_changes_prediction_id_kind ON changes (prediction_id, kind);
COMMIT;
