CREATE TABLE document (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body text NOT NULL,
    embedding vector(1024) -- NULL until the worker has embedded it: this column is the queue
);

CREATE INDEX document_waiting ON document (id) WHERE embedding IS NULL;
CREATE INDEX document_nearest ON document USING hnsw (embedding vector_cosine_ops);

CREATE FUNCTION document_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY document_added;
    RETURN NULL;
END
$$;

CREATE TRIGGER document_added AFTER INSERT ON document EXECUTE FUNCTION document_added();
