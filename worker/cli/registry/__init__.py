"""The commands of `penstock scripts` that change or look at what is registered; one file for each."""
