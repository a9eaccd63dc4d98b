"""Selection of stars and removal of substructure, before an estimator sees a catalogue."""
