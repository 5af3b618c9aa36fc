module example.com/hl7app

go 1.19
