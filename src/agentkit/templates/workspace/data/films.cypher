CREATE NODE TABLE Person (name STRING PRIMARY KEY);
CREATE NODE TABLE Film (title STRING PRIMARY KEY, year INT64);
CREATE REL TABLE DIRECTED (FROM Person TO Film);
CREATE (:Person {name: 'Fritz Lang'})-[:DIRECTED]->(:Film {title: 'Metropolis', year: 1927});
CREATE (:Person {name: 'Lotte Reiniger'})-[:DIRECTED]->
  (:Film {title: 'The Adventures of Prince Achmed', year: 1926});
