"""DICOMweb (PS3.18): archives that are reached by HTTPS. The only place where requests is used."""
