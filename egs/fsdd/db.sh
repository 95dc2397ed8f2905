# Where corpora are. The recordings of this recipe come with the repository.
FSDD=${FSDD:-audio}
