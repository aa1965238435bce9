CREATE TABLE product (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, price DECIMAL(6, 2) NOT NULL
);
CREATE TABLE sale (
  id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL REFERENCES product (id),
  sold DATE NOT NULL, pieces INTEGER NOT NULL
);
INSERT INTO product VALUES
  (1, 'Green tea', 'tea', 6.50), (2, 'Black tea', 'tea', 5.80), (3, 'Espresso', 'coffee', 9.20);
INSERT INTO sale VALUES
  (1, 1, '2026-01-12', 3), (2, 3, '2026-01-13', 1), (3, 2, '2026-02-02', 4), (4, 1, '2026-02-20', 2);
