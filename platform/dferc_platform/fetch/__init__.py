"""Downloads of what is freely downloadable: resumable, checked before a file appears, unpacked safely."""
